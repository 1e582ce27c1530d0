"""YOLO's outputs. Sources: MobileNet-YOLO's yolov3_detection_output_layer.cpp and
yolo_detection_output_layer.cpp; the region_layer.cpp of OpenVINO's training_toolbox_caffe and of
caffe_yolo.
"""

from __future__ import annotations

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Params, Refused, Shape, Site, Written, shown

# rows of (picture, class, score, corners), of which there is one at least
ROWS: Shape = (1, 1, 1, 7)


def yolov3_detection_output(site: Site) -> Written:
    """YOLOv3: each class of a box, one suppression for all; rows depend on the data."""
    site.expect(tops=1, blobs=0)
    param = site.param("yolov3_detection_output_param")
    groups, boxes = param.integer("mask_group_num", 2), param.integer("num_box", 3)
    mask, sizes, units = param.integers("mask"), _pairs(param), param.integers("anchors_scale")
    if groups != len(site.bottoms) or len(units) < groups or boxes < 1 or min(units) < 1:
        raise Refused(
            f"mask_group_num {groups}, num_box {boxes} and {len(units)} anchors_scale for "
            f"{len(site.bottoms)} bottoms"
        )
    _square_maps(site, boxes, _classes(param))
    anchors = []
    for group in range(groups):
        first = group * (len(mask) // groups)
        own = mask[first : first + boxes]
        if len(own) < boxes or not all(0 <= number < len(sizes) for number in own):
            raise Refused(f"mask {mask} of {len(sizes)} pairs of biases")
        anchors.append([sizes[number] for number in own])
    limits = param.number("confidence_threshold", 0.01), param.number("nms_threshold", 0.45)
    module = Call("Yolov3DetectionOutput", arguments(anchors, units[:groups], *limits))
    return Written(site.on_all_bottoms(), [ROWS], module, ops=("Yolov3DetectionOutput",))


def yolo_detection_output(site: Site) -> Written:
    """YOLOv2: the likeliest class of a box, one suppression for all; rows depend on the data."""
    site.expect(tops=1, blobs=0)
    param = site.param("yolo_detection_output_param")
    # `side` is overwritten by the map's, and coords is not read
    for name in ("side", "coords", "label_map_file"):
        param.has(name)
    boxes, sizes = param.integer("num_box", 5), _pairs(param)
    if len(site.bottoms) not in (1, 2) or boxes < 1 or len(sizes) < boxes:
        raise Refused(
            f"num_box {boxes} with {len(sizes)} pairs of biases for {len(site.bottoms)} bottoms"
        )
    _square_maps(site, boxes, _classes(param))
    limits = param.number("confidence_threshold", 0.01), param.number("nms_threshold", 0.45)
    module = Call("YoloDetectionOutput", arguments(sizes[:boxes], *limits))
    return Written(site.on_all_bottoms(), [ROWS], module, ops=("YoloDetectionOutput",))


def region(site: Site) -> Written:
    """Darknet's region: sigmoid of x, y and objectness, softmax of the classes; the layout stays."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param, shape = site.param("region_param"), site.bottom()
    # of training, and of what reads the values
    for name in ("side", "biases", "jitter", "thresh", "object_scale", "noobject_scale",
                 "class_scale", "coord_scale"):  # fmt: skip
        param.has(name)
    if not param.has("num"):
        raise Refused("no num: forks without it compute other things under this name")
    boxes, coords = param.integer("num"), param.integer("coords", 4)
    classes = param.integer("num_classes" if param.has("num_classes") else "classes")
    if min(boxes, classes) < 1 or coords < 2:
        raise Refused(f"num {boxes}, coords {coords}, {classes} classes")
    if len(shape) != 4 or shape[1] != boxes * (coords + 1 + classes):
        raise Refused(f"num {boxes}, coords {coords}, {classes} classes of shape {shown(shape)}")
    module = Call("Region", arguments(boxes, coords=None if coords == 4 else coords))
    return Written("{self}({0})", [shape], module, ops=("Region",))


def _classes(param: Params) -> int:
    classes = param.integer("num_classes")
    if classes < 1:
        raise Refused(f"num_classes {classes}" if param.has("num_classes") else "no num_classes")
    return classes


def _pairs(param: Params) -> list[tuple[float, float]]:
    """The biases: widths and heights."""
    values = param.numbers("biases")
    return list(zip(values[::2], values[1::2], strict=False))


def _square_maps(site: Site, boxes: int, classes: int) -> None:
    for shape in site.bottoms:
        if len(shape) != 4 or shape[0] != site.bottom()[0] or shape[1] != boxes * (5 + classes):
            raise Refused(f"{boxes} boxes of {classes} classes in a bottom of shape {shown(shape)}")
        if shape[2] != shape[3]:
            raise Refused(f"a bottom of shape {shown(shape)}; the layer reads square maps alone")

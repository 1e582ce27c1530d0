"""Names from older eras of caffe.proto, and what a file that is not a caffemodel looks like."""

from __future__ import annotations

# V1LayerParameter.LayerType -> today's type (upgrade_proto.cpp, UpgradeV1LayerType)
V1_TYPES = {
    1: "Accuracy", 2: "BNLL", 3: "Concat", 4: "Convolution", 5: "Data", 6: "Dropout",
    7: "EuclideanLoss", 8: "Flatten", 9: "HDF5Data", 10: "HDF5Output", 11: "Im2col",
    12: "ImageData", 13: "InfogainLoss", 14: "InnerProduct", 15: "LRN",
    16: "MultinomialLogisticLoss", 17: "Pooling", 18: "ReLU", 19: "Sigmoid", 20: "Softmax",
    21: "SoftmaxWithLoss", 22: "Split", 23: "TanH", 24: "WindowData", 25: "Eltwise", 26: "Power",
    27: "SigmoidCrossEntropyLoss", 28: "HingeLoss", 29: "MemoryData", 30: "ArgMax",
    31: "Threshold", 32: "DummyData", 33: "Slice", 34: "MVN", 35: "AbsVal", 36: "Silence",
    37: "ContrastiveLoss", 38: "Exp", 39: "Deconvolution",
    40: "PReLU",  # forks only
}  # fmt: skip

# Those numbers again in C3D v1.0, of its layers that have parameters
C3D_TYPES = {30: "Convolution3D", 34: "Deconvolution3D"}

# V0LayerParameter.type -> today's type (upgrade_proto.cpp, UpgradeV0LayerType)
V0_TYPES = {
    "accuracy": "Accuracy", "bnll": "BNLL", "concat": "Concat", "conv": "Convolution",
    "data": "Data", "dropout": "Dropout", "euclidean_loss": "EuclideanLoss",
    "flatten": "Flatten", "hdf5_data": "HDF5Data", "hdf5_output": "HDF5Output",
    "im2col": "Im2col", "images": "ImageData", "infogain_loss": "InfogainLoss",
    "innerproduct": "InnerProduct", "lrn": "LRN",
    "multinomial_logistic_loss": "MultinomialLogisticLoss", "pool": "Pooling", "relu": "ReLU",
    "sigmoid": "Sigmoid", "softmax": "Softmax", "softmax_loss": "SoftmaxWithLoss",
    "split": "Split", "tanh": "TanH", "window_data": "WindowData",
}  # fmt: skip

_STARTS = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML page"),
    (b"<", "a page of markup"),
    (b"version https://git-lfs", "a git-lfs pointer"),
    (b"<<<<<<<", "a file with a git conflict"),
    (b"404", "an error page"),
    (b"{", "a JSON text"),
    (b"pk\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive (unpack it)"),
    (b"\x89png", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"\x93numpy", "a NumPy array (a mean?)"),
    (b"bzh", "a bzip2 archive (unpack it)"),
    (b"\xfd7zxz\x00", "an xz archive (unpack it)"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"name:", "a prototxt"),
    (b"layer", "a prototxt"),
    (b"input", "a prototxt"),
    (b"import ", "a program's source"),
    (b"[net]", "a net of Darknet (.cfg)"),
    (b"[network]", "a net of Darknet (.cfg)"),
    (b"7767517", "a net of ncnn (.param)"),
    (b"#", "a text"),
)


def looks_like(start: bytes) -> str:
    """What a file that begins with `start` probably is; "" if nothing comes to mind."""
    if start[257:262] == b"ustar":
        return "a tar archive (unpack it)"
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, name in _STARTS:
        if head.startswith(mark):
            return name
    if start and not start.strip(b"\0"):
        return "a run of zero bytes"
    return ""

"""One net, worked out once: its text is parsed once, and its weights are indexed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

from decant.stages.inputs import Inputs
from decant.stages.options import Shape

if TYPE_CHECKING:
    from decant.engines.job import Job
    from decant.engines.weights import Weights
    from decant.loader.definition.graph import Net
    from decant.loader.layers.rule import Rule
    from decant.loader.plan.plugins import Plugins


class Definition:
    """What both stages ask of a net's two files. Nothing is read before it is asked for.

    `plugins`: a user's own layers. What is worked out of a net on its own is kept with it (Net.once).
    """

    def __init__(self, inputs: Inputs, plugins: Plugins | None = None) -> None:
        from decant.loader.weights import caffemodel

        self.inputs, self.plugins = inputs, plugins
        self.rules: Mapping[str, Rule] = plugins.rules if plugins else {}
        self._index = cache(caffemodel.read)

    @cached_property
    def written(self) -> Net:
        """As the text says it, at its reading. Raises BadInput."""
        from decant.loader.definition.graph import read_net

        return read_net(self.inputs.prototxt, self.inputs.reading)

    def deployed(self, shapes: Mapping[str, Shape]) -> Net:
        """In its deploy form; `shapes`: of inputs, in place of what the definition says."""
        from decant.loader.plan.deploy import deploy, is_training

        if not is_training(self.written, self.rules):
            return self.written
        return deploy(self.written, shapes, self.weight_shapes(self.written), plugins=self.rules)

    def weights(self, net: Net) -> Weights | None:
        """What the file gives to the layers of `net`; None where no file is given. Raises BadInput."""
        from decant.engines.weights import read_weights

        path = self.inputs.caffemodel
        return read_weights(path, net, self._index) if path else None

    def weight_shapes(self, net: Net) -> dict[str, list[Shape]]:
        """The shapes of each layer's blobs in the file; none where none is given."""
        from decant.engines.weights import blob_shapes

        weights = self.weights(net)
        return blob_shapes(weights.model) if weights else {}

    def input_shapes(self, net: Net, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """`shapes`, and what loader.plan.batch makes of other inputs; without those that say none."""
        from decant.loader.plan.batch import batch_of, input_shapes
        from decant.loader.plan.probe import refuse_unknown

        refuse_unknown(net, shapes, "--input")
        # of one picture there is nothing to find out
        weights = self.weight_shapes(net) if batch_of(net.inputs) not in (None, 1) else {}
        known = input_shapes(net, shapes, self.rules, weights)
        return {blob: shape for blob, shape in known.items() if shape}

    def job(self, net: Net, shapes: Mapping[str, Shape], ignored: Sequence[str]) -> Job:
        """For an engine, without a probe. `shapes`: of the inputs, as far as they are known.

        `ignored`: layers of the file that may stay unused, beside those that the catalog names. Raises
        BadInput with the input that the weights fit, where they do not fit this one.
        """
        from decant.engines.job import Job
        from decant.engines.weights import with_fillers
        from decant.loader.plan.fit import refuse_other_input

        model = self.inputs.model
        weights = self.weights(net)
        if weights is not None:
            weights = with_fillers(weights, net, shapes, self.rules)
        job = Job(
            prototxt=self.inputs.prototxt,
            caffemodel=self.inputs.caffemodel,
            probe={},
            ignored_layers=(*(model.ignored_layers if model else ()), *ignored),
            digest=self.inputs.caffemodel_digest,
            net=net,
            weights=weights,
            shapes=shapes,
        )
        refuse_other_input(net, shapes, job.blob_shapes(), self.rules)
        return job

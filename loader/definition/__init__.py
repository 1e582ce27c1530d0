"""The prototxt: text, Caffe's upgrades, its rules, and the layers that it leaves, as a graph."""

"""A plan as readable source, the values in it by name, and where Caffe's layers are found in it."""

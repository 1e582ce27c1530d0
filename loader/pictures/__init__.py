"""Pictures: preprocessing, labels, folders of them, accuracy."""

# in the artifact of a net that was trained with a mean image
MEAN_IMAGE = "mean.npy"

"""Every layer against what Caffe computed: runs, bounds, verdict."""

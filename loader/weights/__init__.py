"""The caffemodel: read without Caffe, told from other files, written for Caffe."""

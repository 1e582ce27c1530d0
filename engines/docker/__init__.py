"""Docker: the connection, the images, one container, what goes in and comes out."""

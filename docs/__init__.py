"""Tables that the code writes about itself."""

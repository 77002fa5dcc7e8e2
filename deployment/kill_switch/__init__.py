"""The kill switch: a small process with its own key and its own way to the venue, that works when nothing else does."""

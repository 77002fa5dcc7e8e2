"""What versioned state is made of; `mutable_core/state_manager.py` is the door."""

"""The systems that ours is compared with: compact versions, one file each, behind one interface."""

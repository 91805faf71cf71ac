"""Keeping the house: is it well, are its books true, is there room, what if the disk dies."""

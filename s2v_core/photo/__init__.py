"""A portrait becomes exactly the JPEG that is sent."""

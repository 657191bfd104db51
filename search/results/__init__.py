"""What a search found: the front, its exports, their verification."""

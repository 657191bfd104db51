"""Results of a search: the front, its exports, and their verification."""

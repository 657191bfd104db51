"""Members of a front: picked by words, checked on unseen data, told apart by paired samples."""

"""Operations of torch: those that coremltools' front ends lack, and words for those that do not convert."""

"""Operations of torch that coremltools' front ends lack, registered with it as MIL ops."""

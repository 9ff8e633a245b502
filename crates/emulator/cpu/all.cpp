// The launcher and all kernels, in one unit, so that the linker drops none.
#include "machine.cpp"
#include "words.h"

#include "kernels.inc"
#include "faults.h"

// Reads all kernels as MSL. Nothing here runs.
#define __METAL_VERSION__ 230
#include "kernels.inc"

// The launcher and all kernels, in one unit, so that the linker drops none.
#include "machine.cpp"
#include "words.h"

#include "../kernels/words.h"
#include "../kernels/math.h"
#include "../kernels/random.h"
#include "../kernels/reduce.h"
#include "../kernels/layer_norm.h"
#include "../kernels/softmax.h"
#include "../kernels/cross_entropy.h"
#include "faults.h"

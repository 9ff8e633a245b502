//! Arithmetic of two tensors, or of a tensor and a number: the methods. How it is done is in [`super::binary`].
use super::{
    args::Scalar,
    binary::{Arith, Side},
};
use crate::{Result, Tensor};

macro_rules! arithmetic {
    ($($(#[$doc:meta])* fn $name:ident, $scalar:ident = $op:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            pub fn $name(&self, other: &Tensor) -> Result<Tensor> {
                Arith::$op.tracked(Side::Tensor(self), Side::Tensor(other))
            }
            #[doc = concat!("[`Tensor::", stringify!($name), "`] with a number, which takes the tensor's dtype where it can.")]
            ///
            /// # Errors
            /// Those of the operation on two tensors.
            pub fn $scalar(&self, value: impl Into<Scalar>) -> Result<Tensor> {
                Arith::$op.tracked(Side::Tensor(self), Side::Value(value.into()))
            }
        )*}
    };
}
arithmetic! {
    /// Adds `other` to this tensor, element by element.
    ///
    /// Formula: `y = x + other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: the dtype that both promote to, as in JAX. Integers wrap around.
    ///
    /// Gradient: `dx = dy`, `dother = dy`, each summed over the axes that were broadcast.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `DTypeMismatch`: both tensors are bool.
    /// - `InvalidArgument`: an integer dtype holds neither the number that is the other operand nor the result.
    /// - `Device`: the operands are on different devices.
    fn add, add_scalar = Add;
    /// Subtracts `other` from this tensor, element by element.
    ///
    /// Formula: `y = x - other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: the dtype that both promote to, as in JAX. Integers wrap around.
    ///
    /// Gradient: `dx = dy`, `dother = -dy`, each summed over the axes that were broadcast.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `DTypeMismatch`: both tensors are bool.
    /// - `InvalidArgument`: an integer dtype holds neither the number that is the other operand nor the result.
    /// - `Device`: the operands are on different devices.
    fn sub, sub_scalar = Sub;
    /// Multiplies this tensor by `other`, element by element.
    ///
    /// Formula: `y = x · other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: the dtype that both promote to, as in JAX. Integers wrap around.
    ///
    /// Gradient: `dx = dy · other`, `dother = dy · x`, each summed over the axes that were broadcast.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `DTypeMismatch`: both tensors are bool.
    /// - `InvalidArgument`: an integer dtype holds neither the number that is the other operand nor the result.
    /// - `Device`: the operands are on different devices.
    fn mul, mul_scalar = Mul;
    /// Divides this tensor by `other`, element by element.
    ///
    /// Formula: `y = x / other`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: the float that both promote to, as in JAX; integers give float32.
    ///
    /// Gradient: `dx = dy / other`, `dother = -dy · y / other`, each summed over the axes that were broadcast.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `DTypeMismatch`: both tensors are bool.
    /// - `Device`: the operands are on different devices.
    fn div, div_scalar = Div;
    /// Takes the remainder of the division by `other`, element by element; it has the sign of `other`, as `jnp.mod`.
    ///
    /// Formula: `y = x - other · floor(x / other)`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: the dtype that both promote to, as in JAX. Integers divided by 0 give 0, floats NaN.
    ///
    /// Gradient: `dx = dy`, `dother = -dy · floor(x / other)`, each summed over the axes that were broadcast.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `DTypeMismatch`: both tensors are bool.
    /// - `InvalidArgument`: an integer dtype holds neither the number that is the other operand nor the result.
    /// - `Device`: the operands are on different devices.
    fn rem, rem_scalar = Rem;
    /// Raises this tensor to the power of `other`, element by element.
    ///
    /// Formula: `y = x ^ other`; a negative base to a power that is not whole is NaN.
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: the dtype that both promote to, as in JAX. Integers to a negative power are cut off towards 0.
    ///
    /// Gradient: `dx = dy · other · x^(other - 1)`, `dother = dy · y · ln(x)` and 0 where `y` is 0, each summed over
    /// the axes that were broadcast.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `DTypeMismatch`: both tensors are bool.
    /// - `InvalidArgument`: an integer dtype does not hold the result.
    /// - `Device`: the operands are on different devices.
    fn pow, pow_scalar = Pow;
    /// Takes the larger of this tensor and `other`, element by element; NaN if either is.
    ///
    /// Formula: `y = max(x, other)`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: the dtype that both promote to, as in JAX.
    ///
    /// Gradient: `dy` goes to the larger one, half of it to each where they are equal.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `InvalidArgument`: an integer dtype holds neither the number that is the other operand nor the result.
    /// - `Device`: the operands are on different devices.
    fn maximum, maximum_scalar = Max;
    /// Takes the smaller of this tensor and `other`, element by element; NaN if either is.
    ///
    /// Formula: `y = min(x, other)`
    ///
    /// Shapes: both operands broadcast as in NumPy.
    ///
    /// Dtypes: the dtype that both promote to, as in JAX.
    ///
    /// Gradient: `dy` goes to the smaller one, half of it to each where they are equal.
    ///
    /// # Errors
    /// - `ShapeMismatch`: the shapes do not broadcast.
    /// - `InvalidArgument`: an integer dtype holds neither the number that is the other operand nor the result.
    /// - `Device`: the operands are on different devices.
    fn minimum, minimum_scalar = Min;
}

impl Tensor {
    /// Subtracts this tensor from a number.
    ///
    /// Formula: `y = value - x`
    ///
    /// Dtypes: the number takes this tensor's dtype; a fraction beside integers gives float32.
    ///
    /// Gradient: `dx = -dy`
    ///
    /// # Errors
    /// - `InvalidArgument`: an integer dtype holds neither the number nor the result.
    pub fn rsub_scalar(&self, value: impl Into<Scalar>) -> Result<Tensor> {
        Arith::Sub.tracked(Side::Value(value.into()), Side::Tensor(self))
    }
    /// Divides a number by this tensor.
    ///
    /// Formula: `y = value / x`
    ///
    /// Dtypes: floats keep theirs; integers and bool give float32.
    ///
    /// Gradient: `dx = -y / x · dy`
    ///
    /// # Errors
    /// Those of the device.
    pub fn rdiv_scalar(&self, value: impl Into<Scalar>) -> Result<Tensor> {
        Arith::Div.tracked(Side::Value(value.into()), Side::Tensor(self))
    }
    /// Raises a number to the powers in this tensor.
    ///
    /// Formula: `y = value ^ x`
    ///
    /// Dtypes: the number takes this tensor's dtype; a fraction beside integers gives float32.
    ///
    /// Gradient: `dx = y · ln(value) · dy`, and 0 where `y` is 0.
    ///
    /// # Errors
    /// - `InvalidArgument`: an integer dtype does not hold the result.
    pub fn rpow_scalar(&self, value: impl Into<Scalar>) -> Result<Tensor> {
        Arith::Pow.tracked(Side::Value(value.into()), Side::Tensor(self))
    }
}

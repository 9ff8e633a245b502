//! Logarithm and inverse error function, written so that loops over them vectorise and give the same bits everywhere.

/// Natural logarithm of a positive, normal `x`, to about one unit in the last place.
///
/// With x = m·2^e and m in [√½, √2): ln x = e·ln 2 + 2·artanh((m-1)/(m+1)), the series cut where it is below rounding.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3F35_04F3;
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007F_FFFF).wrapping_add(SQRT_HALF_BITS));
    let f = m - 1.0;
    let s = f / (m + 1.0);
    let z = s * s;
    let series = z * (0.666_666_6 + z * (0.400_009_72 + z * (0.284_987_87 + z * 0.242_790_79)));
    // 2s = f - s·f exactly, which keeps the leading term free of the division's rounding.
    let tail = exponent * -2.121_944_4e-4 + (s * series - s * f);
    exponent * 0.693_359_4 + (f + tail)
}

/// The inverse of the error function in single precision, for |x| <= 1 (±∞ at ±1).
///
/// M. Giles, "Approximating the erfinv function", GPU Computing Gems, 2011: a polynomial in w = -ln(1 - x²).
#[inline(always)]
pub(super) fn erf_inv_f32(x: f32) -> f32 {
    let product = (1.0 - x) * (1.0 + x);
    let w = -ln(product.max(f32::MIN_POSITIVE));
    let near = horner(
        w - 2.5,
        [
            2.810_226_4e-8,
            3.432_739_4e-7,
            -3.523_387_7e-6,
            -4.391_506_5e-6,
            2.185_808_7e-4,
            -1.253_725_e-3,
            -4.177_681_6e-3,
            0.246_640_73,
            1.501_409_4,
        ],
    );
    let far = horner(
        w.max(5.0).sqrt() - 3.0,
        [
            -2.002_142_6e-4,
            1.009_505_6e-4,
            1.349_343_2e-3,
            -3.673_428_4e-3,
            5.739_507_7e-3,
            -7.622_461_3e-3,
            9.438_870_5e-3,
            1.001_674_1,
            2.832_976_8,
        ],
    );
    let scale = if w < 5.0 { near } else { far };
    let scale = if product == 0.0 { f32::INFINITY } else { scale };
    scale * x
}

#[inline(always)]
fn horner<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    coefficients.into_iter().fold(0.0, |sum, c| sum * x + c)
}

/// The inverse of the error function in double precision, for |x| <= 1 (±∞ at ±1). Giles 2011, as above.
pub(super) fn erf_inv_f64(x: f64) -> f64 {
    if x.abs() == 1.0 {
        return x * f64::INFINITY;
    }
    let w = -libm::log1p(-x * x);
    let scale = if w < 6.25 {
        horner_f64(w - 3.125, &CENTRE)
    } else if w < 16.0 {
        horner_f64(w.sqrt() - 3.25, &SHOULDER)
    } else {
        horner_f64(w.sqrt() - 5.0, &TAIL)
    };
    scale * x
}

fn horner_f64(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

const CENTRE: [f64; 23] = [
    -3.6444120640178196996e-21,
    -1.685059138182016589e-19,
    1.2858480715256400167e-18,
    1.115787767802518096e-17,
    -1.333171662854620906e-16,
    2.0972767875968561637e-17,
    6.6376381343583238325e-15,
    -4.0545662729752068639e-14,
    -8.1519341976054721522e-14,
    2.6335093153082322977e-12,
    -1.2975133253453532498e-11,
    -5.4154120542946279317e-11,
    1.051212273321532285e-09,
    -4.1126339803469836976e-09,
    -2.9070369957882005086e-08,
    4.2347877827932403518e-07,
    -1.3654692000834678645e-06,
    -1.3882523362786468719e-05,
    0.0001867342080340571352,
    -0.00074070253416626697512,
    -0.0060336708714301490533,
    0.24015818242558961693,
    1.6536545626831027356,
];
const SHOULDER: [f64; 19] = [
    2.2137376921775787049e-09,
    9.0756561938885390979e-08,
    -2.7517406297064545428e-07,
    1.8239629214389227755e-08,
    1.5027403968909827627e-06,
    -4.013867526981545969e-06,
    2.9234449089955446044e-06,
    1.2475304481671778723e-05,
    -4.7318229009055733981e-05,
    6.8284851459573175448e-05,
    2.4031110387097893999e-05,
    -0.0003550375203628474796,
    0.00095328937973738049703,
    -0.0016882755560235047313,
    0.0024914420961078508066,
    -0.0037512085075692412107,
    0.005370914553590063617,
    1.0052589676941592334,
    3.0838856104922207635,
];
const TAIL: [f64; 17] = [
    -2.7109920616438573243e-11,
    -2.5556418169965252055e-10,
    1.5076572693500548083e-09,
    -3.7894654401267369937e-09,
    7.6157012080783393804e-09,
    -1.4960026627149240478e-08,
    2.9147953450901080826e-08,
    -6.7711997758452339498e-08,
    2.2900482228026654717e-07,
    -9.9298272942317002539e-07,
    4.5260625972231537039e-06,
    -1.9681778105531670567e-05,
    7.5995277030017761139e-05,
    -0.00021503011930044477347,
    -0.00013871931833623122026,
    1.0103004648645343977,
    4.8499064014085844221,
];

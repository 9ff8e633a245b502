//! Which axis of a convolution's input, kernel and output means what.
use crate::{options::OptionType, HostValue};

/// The layouts of input, kernel and output: a letter for each axis. `N`: items, `C`: channels, `I` and `O`: the kernel's channels
/// in and out; any other letters name spatial axes, in the order of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DimensionNumbers {
    input: String,
    kernel: String,
    output: String,
}

impl DimensionNumbers {
    /// Layouts of these letters.
    ///
    /// # Errors
    /// The sentence that says what is wrong with them, after the option's name.
    pub fn new(input: &str, kernel: &str, output: &str) -> std::result::Result<Self, String> {
        let spatial = |layout: &str, what: &str, two: [char; 2]| {
            let mut letters: Vec<char> = layout.chars().collect();
            let mut distinct = letters.clone();
            distinct.sort_unstable();
            distinct.dedup();
            if distinct.len() != letters.len() || two.iter().any(|c| !letters.contains(c)) {
                let [a, b] = two;
                return Err(format!("must name each axis of the {what} once, {a} and {b} among them, got '{layout}'"));
            }
            letters.retain(|c| !two.contains(c));
            Ok(letters)
        };
        let axes = spatial(kernel, "kernel", ['I', 'O'])?;
        for (layout, what) in [(input, "input"), (output, "output")] {
            let mut of = spatial(layout, what, ['N', 'C'])?;
            of.sort_unstable();
            let mut wanted = axes.clone();
            wanted.sort_unstable();
            if of != wanted {
                return Err(format!("must have the same spatial axes in '{layout}' as in the kernel's '{kernel}'"));
            }
        }
        Ok(Self { input: input.into(), kernel: kernel.into(), output: output.into() })
    }
    /// Items, positions, channels: one spatial axis.
    pub(crate) fn one() -> Self {
        Self { input: "NWC".into(), kernel: "WIO".into(), output: "NWC".into() }
    }
    /// Items, rows, columns, channels.
    pub(crate) fn two() -> Self {
        Self { input: "NHWC".into(), kernel: "HWIO".into(), output: "NHWC".into() }
    }
    fn spatial(&self) -> impl Iterator<Item = char> + '_ {
        self.kernel.chars().filter(|c| !"IO".contains(*c))
    }
    /// How many spatial axes there are.
    pub(crate) fn rank(&self) -> usize {
        self.spatial().count()
    }
    /// The layout of the input.
    pub(crate) fn input(&self) -> &str {
        &self.input
    }
    /// Whether axes before the last three are taken for one axis of items, as Trax does in this layout alone.
    pub(crate) fn joins_items(&self) -> bool {
        self.input == "NHWC" && self.output == "NHWC"
    }
    /// Axes of the kernel that hold its outputs and its inputs.
    pub(crate) fn kernel_channels(&self) -> (usize, usize) {
        (place(&self.kernel, 'O'), place(&self.kernel, 'I'))
    }
    /// The axes of the input in the order items, spatial axes, channels.
    pub(crate) fn input_order(&self) -> Vec<usize> {
        self.order(&self.input)
    }
    /// The axes of the kernel in the order spatial axes, inputs, outputs.
    pub(crate) fn kernel_order(&self) -> Vec<usize> {
        self.spatial().chain(['I', 'O']).map(|c| place(&self.kernel, c)).collect()
    }
    /// For each axis of the output where it stands in the order items, spatial axes, channels.
    pub(crate) fn output_order(&self) -> Vec<usize> {
        let order = self.order(&self.output);
        (0..order.len()).map(|axis| order.iter().position(|&a| a == axis).unwrap_or(axis)).collect()
    }
    fn order(&self, layout: &str) -> Vec<usize> {
        std::iter::once('N').chain(self.spatial()).chain(['C']).map(|c| place(layout, c)).collect()
    }
    /// The kernel's shape.
    pub(crate) fn kernel_shape(&self, size: &[usize], inputs: usize, outputs: usize) -> Vec<usize> {
        let mut size = size.iter();
        let of = |c| match c {
            'I' => Some(inputs),
            'O' => Some(outputs),
            _ => size.next().copied(),
        };
        self.kernel.chars().filter_map(of).collect()
    }
    /// The bias' shape: that of the output with 1 for all axes but the channels, without leading ones. One channel has no axis.
    pub(crate) fn bias_shape(&self, outputs: usize) -> Vec<usize> {
        self.output.chars().map(|c| if c == 'C' { outputs } else { 1 }).skip_while(|&n| n == 1).collect()
    }
}

fn place(layout: &str, axis: char) -> usize {
    layout.chars().position(|c| c == axis).unwrap_or(0)
}

fn read(v: &HostValue) -> Option<std::result::Result<DimensionNumbers, String>> {
    let layouts: Option<Vec<&str>> = v.list()?.iter().map(HostValue::text).collect();
    match layouts?[..] {
        [input, kernel, output] => Some(DimensionNumbers::new(input, kernel, output)),
        _ => None,
    }
}

impl OptionType for DimensionNumbers {
    const TS: &'static str = "readonly [input: string, kernel: string, output: string]";
    const EXPECTED: &'static str = "the layouts of input, kernel and output, such as ['NHWC', 'HWIO', 'NHWC']";
    fn parse(v: &HostValue) -> Option<Self> {
        read(v)?.ok()
    }
    fn show(&self) -> String {
        format!("['{}', '{}', '{}']", self.input, self.kernel, self.output)
    }
    fn explain(v: &HostValue) -> Option<String> {
        read(v)?.err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_found_by_letter() {
        let d = DimensionNumbers::new("CNWH", "OHIW", "WHCN").unwrap();
        assert_eq!(d.rank(), 2);
        assert_eq!((d.input_order(), d.kernel_order()), (vec![1, 3, 2, 0], vec![1, 3, 2, 0]));
        assert_eq!(d.kernel_channels(), (0, 2));
        // The output's axes W, H, C, N out of N, H, W, C.
        assert_eq!(d.output_order(), [2, 1, 3, 0]);
        assert_eq!((d.kernel_shape(&[3, 2], 5, 4), d.bias_shape(4)), (vec![4, 3, 5, 2], vec![4, 1]));
        assert_eq!(DimensionNumbers::two().bias_shape(1), [0usize; 0]);
    }

    #[test]
    fn wrong_layouts_are_explained() {
        let why = |a, b, c| DimensionNumbers::new(a, b, c).unwrap_err();
        assert_eq!(why("NHWC", "HWI", "NHWC"), "must name each axis of the kernel once, I and O among them, got 'HWI'");
        assert_eq!(
            why("NHHC", "HWIO", "NHWC"),
            "must name each axis of the input once, N and C among them, got 'NHHC'"
        );
        assert_eq!(why("NHWC", "HWIO", "NWC"), "must have the same spatial axes in 'NWC' as in the kernel's 'HWIO'");
    }
}

//! A sum in an order that depends on the number of its parts alone, however they are shared out.
//!
//! Parts are added in pairs, then pairs of these, and so on: a node is the sum of the parts from a multiple of a power of two up to the next one, or up to
//! the last part. So whoever has a range of the parts can add up the nodes within it, and the rest is added the same way elsewhere.
use crate::Result;
use std::ops::Range;

/// Sums of parts that follow each other, each as far as it can be added up without the others.
#[derive(Debug)]
pub(super) struct SumTree<T> {
    /// Number of all parts.
    parts: usize,
    nodes: Vec<(Range<usize>, T)>,
}

impl<T> SumTree<T> {
    pub(super) fn new(parts: usize) -> Self {
        Self { parts, nodes: Vec::new() }
    }
    /// Adds the sum of a node that begins where the last one ends.
    pub(super) fn push(&mut self, node: Range<usize>, sum: T, mut add: impl FnMut(T, T) -> Result<T>) -> Result<()> {
        self.nodes.push((node, sum));
        while let [.., (left, _), (right, _)] = &self.nodes[..] {
            if !are_siblings(left, right, self.parts) {
                break;
            }
            if let (Some((right, b)), Some((left, a))) = (self.nodes.pop(), self.nodes.pop()) {
                self.nodes.push((left.start..right.end, add(a, b)?));
            }
        }
        Ok(())
    }
    /// The nodes, in order; one if all parts were added.
    pub(super) fn into_nodes(self) -> Vec<(Range<usize>, T)> {
        self.nodes
    }
    /// The sum, if all parts were added.
    pub(super) fn sum(self) -> Option<T> {
        let all = 0..self.parts;
        self.nodes.into_iter().find(|(node, _)| *node == all).map(|(_, sum)| sum)
    }
}

/// Whether two nodes that follow each other make up the next larger one.
fn are_siblings(left: &Range<usize>, right: &Range<usize>, parts: usize) -> bool {
    let both = 2 * left.len();
    left.start.is_multiple_of(both) && right.end == parts.min(left.start + both)
}

/// The nodes that the parts of a range add up to.
pub(super) fn nodes_of(range: Range<usize>, parts: usize) -> Vec<Range<usize>> {
    let mut tree = SumTree::new(parts);
    for part in range {
        // Nothing is added, and nothing can fail.
        let _ = tree.push(part..part + 1, (), |(), ()| Ok(()));
    }
    tree.into_nodes().into_iter().map(|(node, ())| node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tree: SumTree<String>) -> Vec<String> {
        tree.into_nodes().into_iter().map(|(_, sum)| sum).collect()
    }

    fn added(tree: &mut SumTree<String>, node: Range<usize>, sum: String) {
        tree.push(node, sum, |a, b| Ok(format!("({a}+{b})"))).expect("a sum");
    }

    fn of_range(range: Range<usize>, parts: usize) -> Vec<String> {
        let mut tree = SumTree::new(parts);
        range.for_each(|i| added(&mut tree, i..i + 1, i.to_string()));
        text(tree)
    }

    #[test]
    fn parts_are_added_in_pairs() {
        assert_eq!(of_range(0..1, 1), ["0"]);
        assert_eq!(of_range(0..3, 3), ["((0+1)+2)"]);
        assert_eq!(of_range(0..6, 6), ["(((0+1)+(2+3))+(4+5))"]);
        assert_eq!(of_range(3..6, 7), ["3", "(4+5)"]);
        assert_eq!(of_range(4..7, 7), ["((4+5)+6)"]);
    }

    #[test]
    fn the_sum_does_not_depend_on_who_adds_which_parts() {
        for parts in 1..=40 {
            let whole = of_range(0..parts, parts);
            assert_eq!(whole.len(), 1, "{parts} parts");
            for ranks in 1..=parts.min(7) {
                let mut tree = SumTree::new(parts);
                for rank in 0..ranks {
                    let range = super::super::own_parts(parts, rank, ranks);
                    let nodes = nodes_of(range.clone(), parts);
                    let sums = of_range(range, parts);
                    assert_eq!(nodes.len(), sums.len());
                    nodes.into_iter().zip(sums).for_each(|(node, sum)| added(&mut tree, node, sum));
                }
                assert_eq!(text(tree), whole, "{parts} parts on {ranks} ranks");
            }
        }
    }
}

"""Records golden cases: what Trax itself computes, for the tests of tallow to be held against."""

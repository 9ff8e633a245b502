//! Tests made from tables, one for each line: Trax's own numbers (`golden`) and what every registered layer must hold
//! (`conformance`). A program of its own, since the tests are known only when the tables have been read.
//!
//! Some of them: `cargo test --release -p tallow-layers --test table golden/core/Dense`, `… conformance/Dense`, or any part of a
//! name. What names nothing is an error, and what is not checked is counted as ignored.
mod conformance;
mod golden;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    process::ExitCode,
};

/// Runs one test; a panic is a failure of that test alone, told in words.
fn run(test: impl FnOnce() -> Result<(), String>) -> Result<(), Failed> {
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(result) => result.map_err(Failed::from),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
            Err(format!("panicked: {}", text.unwrap_or_default()).into())
        }
    }
}

/// A test of the tables themselves, which panics when it fails.
fn plain(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        run(|| {
            test();
            Ok(())
        })
    })
}

fn trials() -> Vec<Trial> {
    golden::trials().into_iter().chain(conformance::trials()).collect()
}

/// Whether no test has a name that these arguments ask for.
fn names_nothing(arguments: &Arguments, trials: &[Trial]) -> bool {
    let Some(filter) = &arguments.filter else { return false };
    !trials.iter().any(|t| if arguments.exact { t.name() == filter } else { t.name().contains(filter.as_str()) })
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // `npm run test:general`: operations on the general path run kernels for accelerators where these exist.
    if std::env::var("TALLOW_DEVICE_KERNELS").is_ok_and(|v| v == "1") {
        tallow_emulator::take_over();
    }
    let trials = trials();
    if names_nothing(&arguments, &trials) {
        eprintln!(
            "no test of the tables has {:?} in its name; --list lists them",
            arguments.filter.unwrap_or_default()
        );
        return ExitCode::FAILURE;
    }
    let Conclusion { num_failed, .. } = libtest_mimic::run(&arguments, trials);
    if num_failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}

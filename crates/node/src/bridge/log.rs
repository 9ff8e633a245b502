//! What is told on standard error where the environment variable `TALLOW_LOG` asks for it: a level, or levels by target, such as
//! `trace` or `tallow::product=trace,off`.
use log::LevelFilter;
use tallow_tensor::threads::num_threads;

/// Starts to listen, if there is somebody who asks. Called once, when the addon is loaded.
pub fn start() {
    let Ok(asked) = std::env::var("TALLOW_LOG") else { return };
    if let Some(wrong) = fault(&asked) {
        eprintln!("TALLOW_LOG: `{wrong}` is no level; there are off, error, warn, info, debug and trace");
        return;
    }
    // Who has a logger keeps it.
    if env_logger::Builder::new().parse_filters(&asked).try_init().is_ok() {
        log::debug!(target: "tallow::processor", "{} threads, {}", num_threads(), said(&features()));
    }
}

/// The part of a filter that names no level.
fn fault(asked: &str) -> Option<&str> {
    let level = |part: &&str| part.rsplit('=').next().unwrap_or(part).parse::<LevelFilter>().is_err();
    asked.split(',').map(str::trim).find(level)
}

fn said(features: &[&str]) -> String {
    if features.is_empty() {
        return "no features that kernels are chosen by".to_owned();
    }
    features.join(" ")
}

/// What kernels choose by.
pub(crate) fn features() -> Vec<&'static str> {
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! detect {
            ($($name:tt)*) => { $(if std::arch::is_x86_feature_detected!($name) { found.push($name) })* };
        }
        detect!("avx512f" "avx512bw" "avx512vl" "avx2" "fma");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_must_name_levels() {
        for good in ["trace", "OFF", "tallow::product=trace", "warn,tallow::operation=debug", "debug, tallow=off"] {
            assert_eq!(fault(good), None, "{good}");
        }
        assert_eq!(fault("trce"), Some("trce"));
        assert_eq!(fault("debug,tallow=loud"), Some("tallow=loud"));
        assert_eq!(fault(""), Some(""));
    }
}

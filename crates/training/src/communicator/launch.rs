//! Who started this process: a launcher of MPI, which starts several alike, or nobody of the kind.
use crate::{Error, Result};
use tallow_layers::ErrorKind;

/// What launchers of MPI tell the processes that they start: Open MPI's `mpirun`, then PMIx and PMI, as Slurm's `srun` and MPICH have them.
const RANK: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"];
const SIZE: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// What Slurm's `srun` tells each process, whether or not it starts it for MPI.
const SLURM_STEP: &str = "SLURM_STEP_ID";
const SLURM_SIZE: &str = "SLURM_STEP_NUM_TASKS";

/// How this process was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Launch {
    Alone,
    /// As one of so many ranks, where the launcher says how many.
    Ranks(Option<usize>),
}

impl Launch {
    /// That of this process.
    ///
    /// # Errors
    /// Those of [`Launch::read`].
    pub(super) fn of_process() -> Result<Self> {
        Self::read(&|name| std::env::var(name).ok())
    }
    /// What the variables of an environment say.
    ///
    /// # Errors
    /// `InvalidOption` for tasks of Slurm that were not started for MPI: each would train alone.
    fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |name: &str| variable(name).and_then(|text| text.parse().ok());
        if RANK.iter().any(|name| variable(name).is_some()) {
            return Ok(Self::Ranks(SIZE.iter().find_map(|name| number(name))));
        }
        match number(SLURM_SIZE) {
            Some(n) if n > 1 && variable(SLURM_STEP).is_some() => Err(Error::new(
                ErrorKind::InvalidOption,
                format!("srun started {n} tasks that cannot meet, as it was not told to start them for MPI; start them by `srun --mpi=pmix`"),
            )),
            _ => Ok(Self::Alone),
        }
    }
    /// Refuses ranks where this build has no MPI, and each would train alone.
    ///
    /// # Errors
    /// `InvalidOption`.
    pub(super) fn without_mpi(self) -> Result<()> {
        let how_many = match self {
            Self::Alone | Self::Ranks(Some(1)) => return Ok(()),
            Self::Ranks(Some(n)) => format!("{n} ranks"),
            Self::Ranks(None) => "ranks".to_owned(),
        };
        let what = format!(
            "this process is one of the {how_many} that a launcher of MPI started, but this build has no MPI; \
             build it by `npm run build -- --features mpi`"
        );
        Err(Error::new(ErrorKind::InvalidOption, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Result<Launch> {
        Launch::read(&|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn launchers_are_told_by_their_variables() {
        let ranks = |n| Launch::Ranks(n);
        assert_eq!(launch(&[]).unwrap(), Launch::Alone);
        assert_eq!(launch(&[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "4")]).unwrap(), ranks(Some(4)));
        assert_eq!(launch(&[("PMI_RANK", "1"), ("PMI_SIZE", "2")]).unwrap(), ranks(Some(2)));
        assert_eq!(launch(&[("PMIX_RANK", "1")]).unwrap(), ranks(None));
        // The script of a job, whose one process is no rank.
        assert_eq!(launch(&[("SLURM_STEP_NUM_TASKS", "8")]).unwrap(), Launch::Alone);
        let pmix = [("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_TASKS", "8"), ("PMIX_RANK", "3")];
        assert_eq!(launch(&pmix).unwrap(), ranks(None));
        let refused = launch(&pmix[..2]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidOption);
        assert!(refused.to_string().contains("srun started 8 tasks"), "{refused}");
    }

    #[test]
    fn ranks_need_a_build_with_mpi() {
        assert!(Launch::Alone.without_mpi().is_ok() && Launch::Ranks(Some(1)).without_mpi().is_ok());
        for (launch, named) in [(Launch::Ranks(Some(4)), "4 ranks"), (Launch::Ranks(None), "the ranks")] {
            let refused = launch.without_mpi().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidOption);
            assert!(refused.to_string().contains(named), "{refused}");
        }
    }
}

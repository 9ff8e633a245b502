//! Trainers: one step on the calling thread, the loop on the compute thread, checkpoints. Knows no optimizer by name.
use super::{
    desk::{busy, unless_busy, Desk, Open, Save},
    queue::{BatchQueue, Closing},
    ranks::joined,
};
use crate::{
    bridge::{
        args::{Arg, Size, Words},
        compute::{promised, submit, Asked},
        environment::run,
        error::{Failure, Outcome},
        host::JsFunction,
        order::{Access, Way},
        wire::Wire,
    },
    layer::{change, run_with},
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};
use tallow_layers::{HostValue, LayerRef, Tree};
use tallow_tensor::{cancel, Tensor};
use tallow_training::{
    communicator::Communicator, fit_with, loop_options, optimizers, schedules, weight_names, Between, LoopOptions,
    Progress, SaveOptions, StepOptions, StepReport, Trainer, TrainerLoadOptions, TrainerOptions,
};

fn measured(report: &StepReport) -> [(&'static str, HostValue); 3] {
    [("loss", report.loss.into()), ("gradientsL2", report.gradients_l2.into()), ("weightsL2", report.weights_l2.into())]
}

/// A trainer; its loop may be running on the compute thread.
#[napi]
pub struct NativeTrainer {
    inner: Arc<Mutex<Trainer>>,
    model: LayerRef,
    desk: Arc<Desk>,
    /// The ranks that it shares batches with, if it does: to end their work also while a loop has the trainer.
    ranks: Option<Arc<dyn Communicator>>,
}

/// A trainer of the layer behind `model`, whose output is the loss.
#[napi]
pub fn new_trainer(
    env: Env,
    model: f64,
    optimizer: String,
    optimizer_options: Wire,
    options: Wire,
) -> Result<NativeTrainer> {
    run(&env, |e| {
        let optimizer = optimizers::construct(&optimizer, optimizer_options.0)?;
        let options = TrainerOptions::parse(&options.0)?;
        let model = e.layer(model)?;
        let ranks = options.communicator.map(joined).transpose()?.flatten();
        let trainer = Trainer::with_options(model.clone(), optimizer, options, ranks.clone())?;
        Ok(NativeTrainer { inner: Arc::new(Mutex::new(trainer)), model, desk: Arc::default(), ranks })
    })
}

/// The names of the float weights that a layer holds: those of a trainer of it, in this order.
#[napi]
pub fn layer_weight_names(env: Env, id: f64) -> Result<Vec<String>> {
    run_with(&env, id, |e, layer| {
        e.order.done_before(&env, || Access::read_weights(&layer));
        Ok(weight_names(&layer))
    })
}

/// Refuses an optimizer that cannot be made.
#[napi]
pub fn check_optimizer(env: Env, kind: String, options: Wire) -> Result<()> {
    run(&env, |_| {
        optimizers::construct(&kind, options.0)?;
        Ok(())
    })
}

/// All options of a task, a loop or a callback, checked, with those filled in that were left out.
#[napi]
pub fn loop_options_of(env: Env, kind: String, options: Wire) -> Result<Wire> {
    run(&env, |_| {
        let all = loop_options(&kind, &options.0)?;
        Ok(Wire(HostValue::Record(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())))
    })
}

/// The learning rate of a registered schedule at a step.
#[napi]
pub fn schedule_rate(env: Env, kind: String, options: Wire, step: Arg<Size>) -> Result<f64> {
    run(&env, |_| {
        let step = step.named(format_args!("{kind}: step"))?.0 as u64;
        Ok(schedules::construct(&kind, options.0)?.rate(step)?)
    })
}

/// What a loop does between two steps: it tells JavaScript, and writes the files that it was asked for.
struct Teller {
    desk: Arc<Desk>,
    progress: Option<JsFunction>,
}

impl Between for Teller {
    fn progress(&mut self, p: &Progress) -> tallow_layers::Result<()> {
        let Some(progress) = &self.progress else { return Ok(()) };
        self.desk.telling();
        let (heard, desk, p) = (self.desk.clone(), self.desk.clone(), *p);
        let args = move || {
            heard.hears(p.step + 1);
            vec![reported(&p)]
        };
        if !progress.post(args, move || desk.told()) {
            self.desk.told();
        }
        Ok(())
    }
    fn pause(&mut self, trainer: &Trainer, next: u64, update: bool) -> tallow_layers::Result<()> {
        if update {
            self.desk.wait()?;
            // What JavaScript does about the last step may be to stop the loop there.
            cancel::check()?;
        }
        self.desk.serve(trainer, Some(next));
        Ok(())
    }
}

/// As JavaScript's `TrainingProgress`.
fn reported(p: &Progress) -> HostValue {
    let own = [
        ("step", HostValue::Number(p.step as f64)),
        ("done", HostValue::Number(p.done as f64)),
        ("learningRate", p.learning_rate.into()),
        ("seconds", p.seconds.into()),
        ("items", HostValue::Number(p.items as f64)),
    ];
    let named = own.into_iter().chain(measured(&p.report)).map(|(name, value)| (name.to_owned(), value));
    HostValue::Record(named.collect())
}

#[napi]
impl NativeTrainer {
    /// One step: what it measured.
    #[napi(ts_return_type = "{ loss: number, gradientsL2: number, weightsL2: number }")]
    pub fn one_step(&self, env: Env, batch: Vec<f64>, key: Words, options: Wire) -> Result<Wire> {
        run(&env, |e| {
            let o = StepOptions::parse(&options.0)?;
            let (batch, rate) = (e.tensors(&batch)?, o.learning_rate.map(|r| r.0));
            let step = || {
                let report = unless_busy(&self.inner)?.one_step(batch, key.0, o.step.0 as u64, rate)?;
                Ok(Wire(measured(&report).into()))
            };
            let change =
                || change(&env, e, "a training step changes weights and state", Access::set(&self.model), step);
            e.with_room_for(&self.model, change)
        })
    }

    /// The loop, on the compute thread: how it ended. `progress` is the number of a function that is told of steps.
    #[napi(ts_return_type = "Promise<{ steps: number, seconds: number, losses: number[] }>")]
    pub fn fit<'env>(
        &self,
        env: &'env Env,
        queue: &BatchQueue,
        options: Wire,
        cancel: Option<f64>,
        progress: Option<f64>,
    ) -> Result<Object<'env>> {
        run(env, |e| {
            let options = LoopOptions::parse(&options.0)?.fit();
            let progress = progress.map(|number| JsFunction::new(number, 1, e.js_thread.clone()));
            // Made here, so that a loop that is cancelled before it begins closes its queue too, and saves wait for one that was started.
            let (trainer, mut closing) = (self.inner.clone(), Closing::new(queue));
            let open = Open::new(&self.desk, &self.inner);
            let mut teller = Teller { desk: self.desk.clone(), progress };
            let work = move |_| {
                // The last to go.
                let _open = open;
                let mut trainer = unless_busy(&trainer)?;
                Ok(fit_with(&mut trainer, &mut closing, &options, &mut teller)?)
            };
            let asked = Asked { access: Access::set(&self.model), way: Way::Endless, cancel };
            submit(env, e, asked, work, |_, _, report| {
                Ok(Wire(HostValue::from([
                    ("steps", HostValue::Number(report.steps as f64)),
                    ("seconds", report.seconds.into()),
                    ("losses", HostValue::List(report.losses.into_iter().map(HostValue::Number).collect())),
                ])))
            })
        })
    }

    /// What the programs of all ranks tell each other.
    #[napi(ts_return_type = "Promise<string[]>")]
    pub fn tell_ranks<'env>(&self, env: &'env Env, text: String) -> Result<Object<'env>> {
        run(env, |e| {
            let trainer = self.inner.clone();
            let work = move |_| Ok(unless_busy(&trainer)?.tell_ranks(text)?);
            // On a thread of its own, as a loop: others may have to compute before all ranks have told theirs.
            let asked = Asked { access: Access::read(&self.model), way: Way::Endless, cancel: None };
            submit(env, e, asked, work, |_, _, told: Vec<String>| {
                Ok(Wire(HostValue::List(told.into_iter().map(HostValue::Text).collect())))
            })
        })
    }

    /// Ends the work of all ranks.
    #[napi]
    pub fn abort_ranks(&self, env: Env, why: String) -> Result<()> {
        run(&env, |_| {
            if let Some(ranks) = &self.ranks {
                ranks.abort(&why);
            }
            Ok(())
        })
    }

    /// How many updates it has made.
    #[napi]
    pub fn updates(&self, env: Env) -> Result<f64> {
        run(&env, |_| Ok(unless_busy(&self.inner)?.updates() as f64))
    }

    /// Slots of each weight, in the order of the weights.
    #[napi]
    pub fn slots(&self, env: Env) -> Result<Wire> {
        run(&env, |_| {
            let slots = unless_busy(&self.inner)?.slots()?;
            let list = |s: Vec<Tensor>| HostValue::List(s.into_iter().map(HostValue::Tensor).collect());
            Ok(Wire(HostValue::List(slots.into_iter().map(list).collect())))
        })
    }

    /// Sets the slots, given as `slots` gives them.
    #[napi]
    pub fn set_slots(&self, env: Env, slots: Wire) -> Result<()> {
        run(&env, |_| {
            let mut trainer = unless_busy(&self.inner)?;
            let held = Tree::Tuple(trainer.slots()?.into_iter().map(Tree::tuple).collect());
            let wrong = || Failure::Type("slots must be an array with an array of tensors for each weight".to_owned());
            let Tree::Tuple(of_weights) = slots.0.into_tree_like(&held)? else { return Err(wrong()) };
            let slots = of_weights.into_iter().map(|s| match s {
                Tree::Tuple(s) => s.into_iter().map(|t| Ok(t.one().map_err(|_| wrong())?.clone())).collect(),
                _ => Err(wrong()),
            });
            let slots = slots.collect::<Outcome<_>>()?;
            Ok(trainer.set_slots(slots)?)
        })
    }

    /// Writes weights, state, slots, the step and notes (JSON) on the compute thread; while a loop runs, between two of its steps.
    #[napi(ts_return_type = "Promise<unknown>")]
    pub fn save<'env>(
        &self,
        env: &'env Env,
        path: String,
        options: Wire,
        notes: Option<String>,
    ) -> Result<Object<'env>> {
        run(env, |e| {
            let step = SaveOptions::parse(&options.0)?.step.map(|s| s.0 as u64);
            if self.desk.is_open() {
                let (done, promise) = promised(env, |_, _, ()| Ok(Wire(HostValue::Null)))?;
                if let Some(late) = self.desk.ask(Save { path, step, notes, done: Box::new(done) }) {
                    // The loop has ended since.
                    let trainer = self.inner.clone();
                    let work = move |_| {
                        (late.done)(save(&trainer, &late.path, step, late.notes));
                        Ok(())
                    };
                    let asked = Asked { access: Access::read(&self.model), way: Way::Apart, cancel: None };
                    submit(env, e, asked, work, |_, _, ()| Ok(Wire(HostValue::Null)))?;
                }
                return Ok(promise);
            }
            let trainer = self.inner.clone();
            let asked = Asked { access: Access::read(&self.model), way: Way::Apart, cancel: None };
            submit(env, e, asked, move |_| save(&trainer, &path, step, notes), |_, _, ()| Ok(Wire(HostValue::Null)))
        })
    }

    /// The averages of the weights, in the order of the weights.
    #[napi]
    pub fn averages(&self, env: Env) -> Result<Vec<f64>> {
        run(&env, |e| {
            let averages = unless_busy(&self.inner)?.averages()?;
            Ok(e.insert_all(&env, averages))
        })
    }

    /// Lets the layers hold the averages in place of the weights, or the weights again.
    #[napi]
    pub fn lend_averages(&self, env: Env, lent: bool) -> Result<()> {
        run(&env, |e| {
            let swap = || {
                let mut trainer = unless_busy(&self.inner)?;
                if lent {
                    trainer.lend_averages()?;
                } else {
                    trainer.return_weights();
                }
                Ok(())
            };
            change(&env, e, "averages take the place of weights", Access::set_weights(&self.model), swap)
        })
    }

    /// Reads what `save` wrote, on the compute thread; the step.
    #[napi(ts_return_type = "Promise<unknown>")]
    pub fn load<'env>(&self, env: &'env Env, path: String, options: Wire) -> Result<Object<'env>> {
        run(env, |e| {
            let strict = TrainerLoadOptions::parse(&options.0)?.strict;
            if self.desk.is_open() {
                return Err(busy());
            }
            let trainer = self.inner.clone();
            let work = move |_| Ok(unless_busy(&trainer)?.load(Path::new(&path), strict)? as f64);
            let asked = Asked { access: Access::set(&self.model), way: Way::Apart, cancel: None };
            submit(env, e, asked, work, |_, _, step| Ok(Wire(HostValue::Number(step))))
        })
    }
}

fn save(trainer: &Mutex<Trainer>, path: &str, step: Option<u64>, notes: Option<String>) -> Outcome<()> {
    Ok(unless_busy(trainer)?.save(Path::new(path), step.unwrap_or(0), notes.as_deref())?)
}

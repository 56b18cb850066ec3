//! Gradients that ranks gather, on emulated devices and a stand-in for NCCL: the same bits as over the link, and what happens when something is missing or fails.

use super::*;
use crate::anchors::tests::{config, on_ranks, scene, terrain, to_the_end, train_on};
use crate::anchors::{AnchorsConfig, Sharing};
use crate::train::{Existing, Method, Outcome};
use rand::{RngExt, SeedableRng};
use std::path::Path;
use tessera_emulator::{Gathering, fast_device};
use tessera_kernels::device::DeviceError;

/// Five blocks with few anchors, three or two of which take a step at the same time.
fn small() -> AnchorsConfig {
    AnchorsConfig {
        blocks: 5,
        together: 3,
        steps: 2,
        visit: 1,
        max_anchors: 60,
        offsets: 2,
        resolution: 24,
        tiles: false,
        ..config(Sharing::Momentum)
    }
}

fn brief() -> Patience {
    Patience { meeting: Duration::from_secs(20), lost: Duration::from_millis(500), ..Patience::default() }
}

/// A rank with a device of its own and this NCCL.
fn training(
    ranks: crate::exchange::Ranks,
    run: &Path,
    config: &AnchorsConfig,
    nccl: &Arc<Gathering>,
) -> Result<AnchorTraining> {
    let find = || Ok(Arc::clone(nccl) as Arc<dyn Collectives>);
    AnchorTraining::among(&terrain(), config, ranks, run)?.on_by(Some(&fast_device()), &find, brief())
}

/// Trains on so many ranks, each with a device of its own.
fn gathered(run: &Path, config: &AnchorsConfig, size: usize, nccl: &Arc<Gathering>) -> Vec<Result<Outcome>> {
    let (folder, config, nccl) = (run.to_owned(), config.clone(), Arc::clone(nccl));
    on_ranks(run, size, move |ranks| {
        to_the_end(training(ranks, &folder, &config, &nccl)?, &folder, Existing::Refuse, usize::MAX)
    })
}

fn said<T>(outcome: &Result<T>) -> String {
    outcome.as_ref().map_or_else(ToString::to_string, |_| "nothing".to_owned())
}

#[test]
fn emulator_gathered_sums_are_the_bits_of_the_link_and_of_one_process() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (name, sync_every, settled) in [("each", 1, 4), ("apart", 3, 2)] {
        let config = AnchorsConfig { sync_every, ..small() };
        let run = |way: &str| root.path().join(format!("{name}-{way}"));
        let link = AnchorsConfig { exchange: Exchange::Link, ..config.clone() };
        for (size, way) in [(1, "alone"), (2, "link")] {
            let ended = train_on(Some(&fast_device()), &run(way), Existing::Refuse, &link, size, usize::MAX);
            assert!(matches!(ended[0], Ok(Outcome::Finished { .. })), "{ended:?}");
        }
        assert!(scene(&run("alone")) == scene(&run("link")), "{name}: the link makes another scene");
        for (size, exchange) in [(2, Exchange::Nccl), (3, Exchange::Auto)] {
            let (nccl, way) = (Arc::new(Gathering::default()), format!("{size}"));
            let config = AnchorsConfig { exchange, ..config.clone() };
            let ended = gathered(&run(&way), &config, size, &nccl);
            let Ok(Outcome::Finished { facts, .. }) = &ended[0] else { panic!("{ended:?}") };
            let fact = facts.iter().find(|(fact, _)| *fact == "gradients").map(|(_, value)| value.as_str());
            assert_eq!(fact, Some("between GPUs, by NCCL 2.0.0"));
            assert!(ended[1..].iter().all(|other| matches!(other, Ok(Outcome::Interrupted { step: 1 }))), "{ended:?}");
            // One more for trial.
            assert_eq!((nccl.done(), nccl.open()), (settled + 1, 0));
            assert!(scene(&run("alone")) == scene(&run(&way)), "{name}: {size} ranks that gather make another scene");
        }
    }
}

#[test]
fn emulator_a_rank_that_ends_is_named_by_the_link_and_nothing_stays_under_way() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (run, nccl) = (root.path().join("run"), Arc::new(Gathering::default()));
    let (folder, library) = (run.clone(), Arc::clone(&nccl));
    let ended = on_ranks(&run, 3, move |ranks| {
        let rank = ranks.rank();
        let mut training = training(ranks, &folder, &small(), &library)?;
        if rank != 1 {
            return to_the_end(training, &folder, Existing::Refuse, usize::MAX).map(drop);
        }
        for round in 0..2 {
            let _order = training.ranks.get_mut().listen()?;
            training.train_round(round)?;
        }
        // Now it goes, while the others gather.
        Ok(())
    });
    let said: Vec<String> = ended.iter().map(said).collect();
    assert!(said[0].starts_with("rank 1 (process") && said[0].contains("has ended before"), "{said:?}");
    assert_eq!(said[1], "nothing");
    assert!(said[2].starts_with("rank 0 has given up: rank 1"), "{said:?}");
    assert_eq!((nccl.done(), nccl.open()), (3, 0), "a communicator was not ended");
}

#[test]
fn emulator_a_gather_that_is_never_done_ends_all_in_time() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let nccl = Arc::new(Gathering::stuck_after(3));
    let begin = Instant::now();
    let ended = gathered(&root.path().join("run"), &small(), 2, &nccl);
    let said: Vec<String> = ended.iter().map(said).collect();
    // Whichever of both gives up first tells the other.
    let part = "gathering gradients of round 2 between GPUs has failed: it was not done 0 seconds after all processes had begun it";
    assert!(said.iter().any(|said| said.contains(part) && said.contains("--set exchange=link")), "{said:?}");
    assert!(ended.iter().all(Result::is_err) && nccl.open() == 0, "{said:?}");
    assert!(begin.elapsed() < Duration::from_secs(60), "it took {:?}", begin.elapsed());
}

/// The way that each of two ranks takes, or why none; `devices` says how each comes to its device.
fn ways(
    exchange: Exchange,
    devices: [Option<Device>; 2],
    find: impl Fn() -> std::result::Result<Arc<dyn Collectives>, DeviceError> + Clone + Send + 'static,
) -> Vec<String> {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().to_owned();
    let ways = on_ranks(root.path(), 2, move |ranks| {
        let (device, config) = (devices[ranks.rank()].as_ref(), AnchorsConfig { exchange, ..small() });
        let training = AnchorTraining::among(&terrain(), &config, ranks, &folder)?.on_by(device, &find, brief())?;
        assert_eq!(training.gather.is_some(), training.way.starts_with("between GPUs"));
        Ok(training.way.clone())
    });
    ways.into_iter().map(|way| way.unwrap_or_else(|error| error.to_string())).collect()
}

#[test]
fn emulator_where_nccl_cannot_be_used_all_take_the_link_or_end_with_one_sentence_of_rank_0() {
    let missing = || Err(DeviceError::NoNccl("looked everywhere".to_owned()));
    let there = |nccl: Gathering| {
        let nccl = Arc::new(nccl);
        move || Ok(Arc::clone(&nccl) as Arc<dyn Collectives>)
    };
    let own = || [Some(fast_device()), Some(fast_device())];
    let one = Some(fast_device());
    let auto = ways(Exchange::Auto, own(), missing);
    assert!(auto[0].starts_with("over the link, not between GPUs (rank 0 (process"), "{auto:?}");
    assert!(auto[0].contains("NCCL") && auto[0].contains("is not found (looked everywhere)"), "{auto:?}");
    assert_eq!(auto[0], auto[1]);
    let refused = ways(Exchange::Nccl, own(), missing);
    assert!(refused[0].starts_with("exchange=nccl cannot be kept to: rank 0 (process"), "{refused:?}");
    assert!(refused[0].contains("pip install nvidia-nccl-cu12"), "{refused:?}");
    assert_eq!(refused[1], format!("rank 0 has given up: {}", refused[0]));

    let on_cpu = ways(Exchange::Auto, [Some(fast_device()), None], there(Gathering::default()));
    assert!(on_cpu[0].contains("rank 1 (process") && on_cpu[0].ends_with(": it trains on the CPU)"), "{on_cpu:?}");
    let same = ways(Exchange::Auto, [one.clone(), one], there(Gathering::default()));
    assert!(same[0].contains("train on the same GPU") && same[0] == same[1], "{same:?}");
    let stuck = ways(Exchange::Auto, own(), there(Gathering::stuck_after(0)));
    assert!(stuck[0].contains("gathering gradients for a trial between GPUs has failed"), "{stuck:?}");
    assert!(stuck[0].starts_with("over the link") && stuck[0] == stuck[1], "{stuck:?}");
    assert_eq!(ways(Exchange::Link, own(), missing), ["over the link, as exchange=link says"; 2]);
    assert_eq!(ways(Exchange::Nccl, own(), there(Gathering::default())), ["between GPUs, by NCCL 2.0.0"; 2]);
}

#[test]
fn emulator_what_is_gathered_is_in_the_plan_of_the_devices_memory() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (folder, nccl) = (root.path().to_owned(), Arc::new(Gathering::default()));
    let planned = on_ranks(root.path(), 2, move |ranks| {
        let mut training = training(ranks, &folder, &small(), &nccl)?;
        let (with, bytes) =
            (training.memory_plan().total_on_device(), training.gather.as_ref().map_or(0, Gather::bytes));
        training.gather = None;
        Ok((with - training.memory_plan().total_on_device(), bytes as u64))
    });
    // Two slots of all and one of its own, of one part or two.
    let values = small().decoder().parameters() as u64;
    for planned in planned {
        let (more, bytes) = planned.expect("nothing disturbs it");
        assert!(more == bytes && bytes > 12 * values && bytes < 25 * values, "{bytes} bytes for {values} numbers");
    }
}

#[test]
fn slots_hold_parts_to_the_bit_and_only_those_of_their_round() {
    let mut random = rand_pcg::Pcg64::seed_from_u64(tessera_test_seed::test_seed());
    let slot = Slot { parts: 3, values: 17 };
    let mut words = vec![0; slot.words()];
    for count in 0..=3 {
        let part = |index| Part {
            level: index as u32 + 1,
            index,
            values: (0..17).map(|_| random.random::<f32>() - 0.5).collect(),
        };
        let parts: Vec<Part> = (0..count).map(part).collect();
        let round = random.random::<u64>();
        slot.write(&mut words, round, &parts).expect("they fit");
        assert_eq!(slot.read(&words, round), Some(parts));
        assert_eq!(slot.read(&words, round ^ 1 << 40), None);
        assert_eq!(slot.read(&words[..2], round), None);
    }
    let long = Part { level: 0, index: 0, values: vec![0.0; 18] };
    assert!(slot.write(&mut words, 0, &[long]).is_err());
}

//! Gathers between devices, on the stand-in for NCCL that emulated devices have.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::sync::Arc;
use std::thread;
use tessera_emulator::{Gathering, fast_device};
use tessera_kernels::device::cuda::{Collectives, Communicator};

/// Runs `work` on each of `size` ranks, with its communicator.
fn on_ranks<T: Send + 'static>(
    library: &Arc<dyn Collectives>,
    size: usize,
    work: impl Fn(usize, Communicator) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let id = library.unique_id().expect("an id");
    let rank = |rank: usize| {
        let (library, work) = (Arc::clone(library), work.clone());
        thread::spawn(move || {
            let communicator = Communicator::join(&library, &id, (rank, size), &fast_device()).expect("all come");
            work(rank, communicator)
        })
    };
    let ranks: Vec<_> = (0..size).map(rank).collect();
    ranks.into_iter().map(|rank| rank.join().expect("no panic")).collect()
}

#[test]
fn all_ranks_have_what_each_of_them_had() {
    let mut random = Pcg64::seed_from_u64(tessera_test_seed::test_seed());
    for size in [1, 2, 3] {
        let given: Vec<Vec<f32>> = (0..size).map(|_| (0..100).map(|_| random.random()).collect()).collect();
        let (stand_in, all) = (Arc::new(Gathering::default()), given.concat());
        let library = Arc::clone(&stand_in) as Arc<dyn Collectives>;
        let had = on_ranks(&library, size, move |rank, mut communicator| {
            let device = fast_device();
            let stream = device.stream().expect("a stream");
            let from = device.upload(&given[rank], "numbers").expect("memory");
            let mut to = device.zeros::<f32>(size * from.len(), "numbers").expect("memory");
            for _ in 0..3 {
                communicator.all_gather(&from, &mut to, &stream).expect("begun");
                while !communicator.is_done().expect("nothing fails") {
                    thread::yield_now();
                }
            }
            communicator.leave().expect("all is done");
            to.read(&stream).expect("a copy")
        });
        assert!(had.iter().all(|had| *had == all), "{size} ranks");
        assert_eq!((stand_in.done(), stand_in.open()), (3, 0));
    }
}

#[test]
fn what_is_given_up_is_over_and_what_is_refused_is_one_sentence() {
    let stand_in = Arc::new(Gathering::stuck_after(0));
    let library = Arc::clone(&stand_in) as Arc<dyn Collectives>;
    on_ranks(&library, 2, |_, mut communicator| {
        let device = fast_device();
        let stream = device.stream().expect("a stream");
        let from = device.zeros::<u8>(5, "bytes").expect("memory");
        let mut to = device.zeros::<u8>(10, "bytes").expect("memory");
        communicator.all_gather(&from, &mut to, &stream).expect("begun");
        assert!(!communicator.is_done().expect("nothing fails"), "it is never done");
        communicator.abort();
        let said = communicator.is_done().expect_err("it is over").to_string();
        assert_eq!(said, "NCCL failed at gathering: it was given up before");
    });
    assert_eq!(stand_in.open(), 0);

    // Different numbers.
    let library: Arc<dyn Collectives> = Arc::new(Gathering::default());
    let said = on_ranks(&library, 2, |rank, mut communicator| {
        let device = fast_device();
        let stream = device.stream().expect("a stream");
        let from = device.zeros::<u8>(5 + rank, "bytes").expect("memory");
        let mut to = device.zeros::<u8>(2 * from.len(), "bytes").expect("memory");
        communicator.all_gather(&from, &mut to, &stream).expect("begun");
        loop {
            match communicator.is_done() {
                Ok(is_done) => assert!(!is_done, "that cannot be"),
                Err(error) => return error.to_string(),
            }
        }
    });
    assert!(said.iter().all(|said| said.ends_with("ranks gather different numbers of bytes")), "{said:?}");
}

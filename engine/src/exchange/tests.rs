//! Ranks as threads over real sockets.

use super::meeting::{Hello, Place, follow, lead, listen_here};
use super::tcp::Lead;
use super::*;
use rand::{RngExt, SeedableRng};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::{self, JoinHandle};

fn brief() -> Patience {
    let millis = Duration::from_millis;
    Patience { meeting: millis(3000), lost: millis(600), pulse: millis(50) }
}

/// Runs `work` on every rank of `size`.
fn on_ranks<T: Send + 'static>(size: usize, work: impl Fn(Ranks) -> T + Clone + Send + 'static) -> Vec<T> {
    let (listener, place) = listen_here().expect("a port is free");
    let nowhere = Path::new("/nowhere");
    let mut others: Vec<JoinHandle<T>> = Vec::new();
    for rank in 1..size {
        let (place, work) = (place.clone(), work.clone());
        others
            .push(thread::spawn(move || work(follow(&place, rank, size, nowhere, brief()).expect("rank 0 is there"))));
    }
    let first = work(lead(Some(listener), &place, size, nowhere, brief()).expect("all come"));
    std::iter::once(first).chain(others.into_iter().map(|other| other.join().expect("no panic"))).collect()
}

/// As training does: each rank adds its summands, rank 0 adds what comes, and all get the sum.
pub(super) fn sum(ranks: &mut Ranks, summands: &[Vec<f32>]) -> Vec<f32> {
    let (rank, size) = (ranks.rank(), ranks.size());
    let mut sum = TreeSum::new(summands.len());
    for (i, values) in summands.iter().enumerate().filter(|(i, _)| i * size / summands.len() == rank) {
        sum.add(i, values.clone());
    }
    if !ranks.leads() {
        let mut parcel = Parcel::default();
        parcel.u64(sum.parts().len() as u64);
        sum.parts().iter().for_each(|part| parcel.part(part));
        ranks.report(&parcel.finish()).expect("rank 0 is there");
        return Contents::new(&ranks.listen().expect("an answer")).f32s().expect("the sum");
    }
    for message in ranks.collect(Instant::now()).expect("all are there") {
        let mut contents = Contents::new(&message);
        for _ in 0..contents.u64().expect("a count") {
            sum.merge(contents.part().expect("a part"));
        }
    }
    let sum = sum.finish().expect("all summands");
    let mut parcel = Parcel::default();
    parcel.f32s(&sum);
    ranks.tell(&parcel.finish()).expect("all are there");
    sum
}

#[test]
fn sums_are_the_same_bits_on_any_number_of_ranks() {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(tessera_test_seed::test_seed());
    for summands in [1, 3, 4, 7, 8] {
        let magnitude = |x: f32| x * 10f32.powf(4.0 * x);
        let values: Vec<Vec<f32>> =
            (0..summands).map(|_| (0..500).map(|_| magnitude(rng.random_range(-1.0..1.0))).collect()).collect();
        let alone = sum(&mut Ranks::alone(), &values);
        let exact = |i: usize| values.iter().map(|v| f64::from(v[i])).sum::<f64>();
        assert!(alone.iter().enumerate().all(|(i, v)| (f64::from(*v) - exact(i)).abs() < 0.1), "that is not the sum");
        for size in [2, 3, 4] {
            let values = values.clone();
            let sums = on_ranks(size, move |mut ranks| (0..3).map(|_| sum(&mut ranks, &values)).collect::<Vec<_>>());
            assert!(sums.iter().flatten().all(|sum| *sum == alone), "{summands} summands on {size} ranks");
        }
    }
}

#[test]
fn ranks_that_disagree_are_named_by_rank_0_and_all_end() {
    let said = on_ranks(3, |mut ranks| {
        let plan = if ranks.rank() == 2 { 8 } else { 7 };
        let said = ranks.agree(&[("settings", 3), ("the plan", plan)]).map_err(|e| e.to_string());
        if said.is_ok() { ranks.listen().map(drop).map_err(|e| e.to_string()) } else { said }
    });
    let said: Vec<String> = said.into_iter().map(|said| said.expect_err("they disagree")).collect();
    assert!(said[0].starts_with("rank 2 (process") && said[0].contains("has the plan of its own"), "{said:?}");
    assert!(said[1..].iter().all(|said| said.starts_with("rank 0 has given up: rank 2")), "{said:?}");
    let agreed = on_ranks(3, |mut ranks| ranks.agree(&[("the plan", 7)]).and_then(|()| ranks.barrier()).is_ok());
    assert_eq!(agreed, [true; 3]);
}

#[test]
fn a_rank_that_ends_is_named_to_all_at_once() {
    let begin = Instant::now();
    let said = on_ranks(4, |mut ranks| {
        if ranks.rank() == 2 {
            return None;
        }
        let outcome = if ranks.leads() {
            ranks.collect(Instant::now()).map(drop)
        } else {
            ranks.report(b"here").and_then(|()| ranks.listen()).map(drop)
        };
        Some(outcome.expect_err("rank 2 is gone").to_string())
    });
    let said: Vec<String> = said.into_iter().flatten().collect();
    assert!(said[0].starts_with("rank 2 (process") && said[0].contains("has ended before"), "{said:?}");
    assert!(said.iter().all(|said| said.contains("rank 2")) && said.len() == 3, "{said:?}");
    assert!(begin.elapsed() < Duration::from_secs(3), "it took {:?}", begin.elapsed());
}

/// A rank that is connected and says nothing more, as one that hangs or whose machine has no power.
#[test]
fn a_rank_without_a_sign_of_life_is_given_up() {
    let (listener, place) = listen_here().expect("a port is free");
    let Place::At(host, port, token) = place else { panic!("a place on this machine") };
    let mut silent = TcpStream::connect((host.as_str(), port)).expect("rank 0 listens");
    super::frame::write(&mut silent, super::frame::Kind::Hello, &Hello::new(1, 2, token).to_bytes()).expect("sent");
    let mut ranks = Ranks::new(Box::new(Lead::open(&listener, 2, token, brief()).expect("it has come")));
    let said = ranks.collect(Instant::now()).expect_err("nothing comes").to_string();
    assert!(said.starts_with("rank 1 (process") && said.contains("no sign of life"), "{said}");
}

/// Slow is not lost: signs of life come from a thread of their own.
#[test]
fn a_slow_rank_is_waited_for_and_named() {
    let late = on_ranks(3, |mut ranks| {
        if ranks.leads() {
            let came = ranks.collect(Instant::now()).expect("both come");
            ranks.tell(b"done").expect("both are there");
            return (came.len(), ranks.lateness().seconds().to_vec());
        }
        thread::sleep(Duration::from_millis(if ranks.rank() == 1 { 1500 } else { 0 }));
        ranks.report(b"late").and_then(|()| ranks.listen()).expect("rank 0 waits");
        (0, Vec::new())
    });
    let (came, seconds) = &late[0];
    assert_eq!(*came, 2);
    assert!(seconds[1] > 1.0 && seconds[0] + seconds[2] < 0.5, "{seconds:?}");
}

#[test]
fn strangers_are_ignored_and_other_versions_refused() {
    let (listener, place) = listen_here().expect("a port is free");
    let Place::At(host, port, token) = place.clone() else { panic!("a place on this machine") };
    let at = (host, port);
    let hello = |hello: Hello| {
        let mut stream = TcpStream::connect((at.0.as_str(), at.1)).expect("rank 0 listens");
        super::frame::write(&mut stream, super::frame::Kind::Hello, &hello.to_bytes()).expect("sent");
        stream
    };
    let mut web = TcpStream::connect((at.0.as_str(), at.1)).expect("rank 0 listens");
    web.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    let _foreign = hello(Hello::new(1, 2, token ^ 1));
    let _old = hello(Hello::new(1, 2, token).of_version("0.0.9"));
    let refused = Lead::open(&listener, 2, token, brief()).expect_err("another version").to_string();
    assert!(refused.contains("is tessera 0.0.9, and rank 0 is"), "{refused}");
    let _more = hello(Hello::new(1, 5, token));
    let refused = Lead::open(&listener, 2, token, brief()).expect_err("another number").to_string();
    assert!(refused.contains("is one of 5 processes, and rank 0 of 2"), "{refused}");
}

#[test]
fn whoever_does_not_come_is_named() {
    let patience = Patience { meeting: Duration::from_millis(200), ..brief() };
    let (listener, place) = listen_here().expect("a port is free");
    let said = lead(Some(listener), &place, 4, Path::new("/nowhere"), patience).expect_err("nobody comes").to_string();
    assert!(said.contains("of 4 processes, rank 1, 2, 3 did not reach rank 0"), "{said}");
    // Nobody listens there any more.
    let said = follow(&place, 1, 4, Path::new("/nowhere"), patience).expect_err("nobody is there").to_string();
    assert!(said.contains("rank 1 cannot reach rank 0") && said.contains("127.0.0.1"), "{said}");
}

#[test]
fn ranks_find_each_other_by_the_run_folder_whatever_an_earlier_run_has_left_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let old = format!(
        r#"{{"host":"elsewhere.invalid","addresses":["127.0.0.1"],"port":{},"token":1}}"#,
        taken.local_addr().expect("bound").port()
    );
    drop(taken);
    std::fs::write(folder.path().join(".rank0.json"), old).expect("writable");
    let path = folder.path().to_owned();
    let other = thread::spawn(move || follow(&Place::InFolder, 1, 2, &path, brief()).map(|mut ranks| ranks.barrier()));
    thread::sleep(Duration::from_millis(100));
    let mut ranks = lead(None, &Place::InFolder, 2, folder.path(), brief()).expect("it comes");
    ranks.barrier().expect("it is there");
    assert!(other.join().expect("no panic").expect("found").is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0, "the notice has served its purpose");
}

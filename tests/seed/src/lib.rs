//! The seed of tests that draw random inputs.

/// What the environment variable `TESSERA_TEST_SEED` says, so that a failure can be repeated and a check does not depend on
/// luck; without it a new seed, which is printed.
pub fn test_seed() -> u64 {
    let given = std::env::var("TESSERA_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("TESSERA_TEST_SEED={seed}");
    seed
}

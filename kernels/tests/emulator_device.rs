//! The device layer on the emulator: buffers, launches, streams, memory, and what is said of mistakes.

use tessera_emulator::{device, device_with_memory};
use tessera_kernels::device::{DeviceError, Launch, SELF_TEST};

#[test]
fn a_kernel_adds_arrays() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let kernel = device.kernel(&SELF_TEST, "add_arrays").expect("the kernel");
    for n in [0usize, 1, 255, 256, 100_003] {
        let (x, y): (Vec<f32>, Vec<f32>) = (0..n).map(|i| (i as f32, 0.5 * i as f32)).unzip();
        let (a, b) = (device.upload(&x, "x").expect("memory"), device.upload(&y, "y").expect("memory"));
        let mut sum = device.buffer::<f32>(n, "sums").expect("memory");
        kernel.launch(&stream, Launch::linear(n, 256), (&a, &b, &mut sum, n as u32)).expect("a launch");
        let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        assert_eq!(sum.read(&stream).expect("the sums"), expected);
    }
}

#[test]
fn memory_is_used_again_in_the_order_of_a_stream() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let pooled = device.with_memory_of(&stream);
    let kernel = device.kernel(&SELF_TEST, "add_arrays").expect("the kernel");
    let before = device.traffic();
    let mut sum = pooled.upload(&[1.0f32, 2.0, 3.0], "numbers").expect("memory");
    for _ in 0..5 {
        let mut twice = pooled.buffer::<f32>(3, "numbers").expect("memory");
        kernel.launch(&stream, Launch::linear(3, 32), (&sum, &sum, &mut twice, 3u32)).expect("a launch");
        sum = twice;
    }
    assert_eq!(sum.read(&stream).expect("numbers"), [32.0, 64.0, 96.0]);
    assert_eq!((device.traffic() - before).allocations, 2, "two are there at a time");
    assert_eq!(device.used_memory(), 12, "what no buffer has is not counted");
    drop((sum, pooled));
    assert_eq!(device.used_memory(), 0);
}

#[test]
fn memory_that_is_kept_makes_room_for_other_sizes() {
    let device = device_with_memory(4096);
    let stream = device.stream().expect("a stream");
    let pooled = device.with_memory_of(&stream);
    let free = pooled.free_memory().expect("a number");
    drop(pooled.zeros::<f32>(700, "numbers").expect("memory"));
    assert_eq!(pooled.free_memory().expect("a number"), free, "what is kept is free");
    assert!(pooled.zeros::<f32>(800, "other numbers").is_ok(), "3200 of 4096 bytes, once 2800 are given back");
}

#[test]
fn blocks_are_summed_with_shuffles_and_atomics() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let n = 70_001;
    let values: Vec<f32> = (0..n).map(|i| (i % 7) as f32).collect();
    let buffer = device.upload(&values, "values").expect("memory");
    let mut total = device.zeros::<f32>(1, "the total").expect("memory");
    let kernel = device.kernel(&SELF_TEST, "sum_blocks").expect("the kernel");
    kernel.launch(&stream, Launch::linear(n, 256), (&buffer, &mut total, n as u32)).expect("a launch");
    // Whole numbers below 2^24: exact in any order.
    assert_eq!(total.read(&stream).expect("the total"), [values.iter().sum::<f32>()]);
}

#[test]
fn dynamic_shared_memory_turns_blocks_round() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let values: Vec<u32> = (0..96 * 5).collect();
    let mut buffer = device.upload(&values, "values").expect("memory");
    let kernel = device.kernel(&SELF_TEST, "reverse_blocks").expect("the kernel");
    kernel.launch(&stream, Launch::blocks(5, 96).with_shared(96 * 4), (&mut buffer,)).expect("a launch");
    let expected: Vec<u32> = (0..5).flat_map(|block| (block * 96..(block + 1) * 96).rev()).collect();
    assert_eq!(buffer.read(&stream).expect("the values"), expected);
}

#[test]
fn wrong_arguments_are_refused() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let kernel = device.kernel(&SELF_TEST, "reverse_blocks").expect("the kernel");
    let mut floats = device.zeros::<f32>(32, "floats").expect("memory");
    let error = kernel.launch(&stream, Launch::blocks(1, 32), (&mut floats,)).expect_err("floats for u32");
    assert!(error.to_string().contains("argument 1 is float* and should be u32*"), "{error}");
    let numbers = device.zeros::<u32>(32, "numbers").expect("memory");
    let error = kernel.launch(&stream, Launch::blocks(1, 32), (&numbers,)).expect_err("it would be written");
    assert!(error.to_string().contains("argument 1 is const u32* and should be u32*"), "{error}");
    let error = kernel.launch(&stream, Launch::blocks(1, 32), ()).expect_err("no arguments");
    assert!(error.to_string().contains("1 parameters and was given 0"), "{error}");
    assert!(device.kernel(&SELF_TEST, "no_such_kernel").is_err());
}

#[test]
fn memory_that_does_not_fit_is_an_error_that_says_for_what() {
    let device = device_with_memory(1000);
    let first = device.buffer::<f32>(200, "the first").expect("it fits");
    let error = device.buffer::<f32>(100, "the second").err().expect("it does not fit");
    let expected = DeviceError::OutOfMemory { wanted: 400, purpose: "the second".to_owned(), free: 200, used: 800 };
    assert_eq!(error, expected);
    drop(first);
    assert_eq!((device.used_memory(), device.most_used_memory()), (0, 800));
    device.buffer::<f32>(100, "the second").expect("now it fits");
}

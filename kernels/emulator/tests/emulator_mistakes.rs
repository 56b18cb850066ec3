//! The emulator finds what kernels do wrong, names the line, and does not complain of what is right.

use tessera_emulator::{device, fast_device};
use tessera_kernels::device::{ArgumentList, Device, DeviceError, Launch, Source};

static MISTAKES: Source = Source::new("emulator/tests/mistakes.cu", include_str!("mistakes.cu"));

fn launch(device: &Device, name: &str, launch: Launch, arguments: impl ArgumentList) -> Result<(), DeviceError> {
    let stream = device.stream().expect("a stream");
    device.kernel(&MISTAKES, name).expect("the kernel").launch(&stream, launch, arguments)
}

/// The sentence about a kernel of one block with one buffer of 128 numbers.
fn complaint(name: &str, threads: u32) -> String {
    let device = device();
    let mut values = device.zeros::<u32>(128, "values").expect("memory");
    launch(&device, name, Launch::blocks(1, threads), (&mut values,)).expect_err(name).to_string()
}

fn line_of(text: &str) -> usize {
    MISTAKES.text.lines().position(|line| line.contains(text)).expect("the line") + 1
}

#[test]
fn accesses_out_of_bounds_are_found_before_they_happen() {
    let device = device();
    let mut values = device.zeros::<f32>(100, "values").expect("memory");
    let error = launch(&device, "write_behind", Launch::linear(128, 32), (&mut values, 100u32)).expect_err("too far");
    let text = error.to_string();
    assert!(text.contains("writes 4 bytes out of bounds: 4 bytes behind the end of a buffer of 400 bytes"), "{text}");
    assert!(text.contains("thread 4") && text.contains("block [3, 0, 0]"), "{text}");
    assert!(text.contains(&format!("mistakes.cu:{}", line_of("if (i <= count)"))), "{text}");

    let mut out = device.zeros::<f32>(100, "out").expect("memory");
    let error = launch(&device, "read_before", Launch::linear(100, 32), (&values, &mut out, 100u32));
    let text = error.expect_err("before the start").to_string();
    assert!(text.contains("reads 4 bytes out of bounds: 4 bytes before the start of a buffer of 400"), "{text}");
}

#[test]
fn the_fast_device_finds_writes_out_of_bounds_by_redzones() {
    let device = fast_device();
    let mut values = device.zeros::<f32>(100, "values").expect("memory");
    let error = launch(&device, "write_behind", Launch::linear(128, 32), (&mut values, 100u32)).expect_err("too far");
    assert!(error.to_string().contains("it wrote 0 bytes behind the end of a buffer of 400 bytes"), "{error}");
}

#[test]
fn shared_memory_has_bounds() {
    for device in [device(), fast_device()] {
        let mut out = device.zeros::<f32>(64, "out").expect("memory");
        let shape = Launch::blocks(1, 64).with_shared(64 * 4);
        let error = launch(&device, "write_behind_shared", shape, (&mut out,)).expect_err("too far");
        assert!(error.to_string().contains("256 bytes of dynamic shared memory"), "{error}");
    }
}

#[test]
fn barriers_and_warp_operations_want_everybody() {
    let device = device();
    let mut values = device.zeros::<f32>(64, "values").expect("memory");
    let error = launch(&device, "barrier_for_some", Launch::blocks(1, 64), (&mut values,)).expect_err("some");
    assert!(error.to_string().contains("a barrier is reached by only 40 of the block's 64 threads"), "{error}");
    let error = launch(&device, "barrier_after_return", Launch::blocks(1, 64), (&mut values, 50u32));
    assert!(error.expect_err("some").to_string().contains("has returned"));

    let text = complaint("shuffle_for_some", 32);
    assert!(
        text.contains("a shuffle with inactive lanes") && text.contains("only the lanes 0xffff are there"),
        "{text}"
    );
    assert!(text.contains(&format!("mistakes.cu:{}", line_of("< 16) values[threadIdx.x] = __shfl_xor"))), "{text}");
    assert!(complaint("shuffle_from_outside", 32).contains("reads lane 20, which is not in its mask 0xffff"));
    assert!(complaint("shuffle_without_itself", 32).contains("is not in its own mask 0xff"));
    // A block of 20 threads has no lane 31.
    assert!(complaint("shuffle_for_some", 20).contains("inactive lanes"));
}

#[test]
fn races_are_found_and_barriers_end_them() {
    let text = complaint("rotate_with_race", 128);
    assert!(text.contains("a race: it") && text.contains("shared memory"), "{text}");
    assert!(text.contains("mistakes.cu:"), "{text}");
    assert!(complaint("rotate_warp_with_race", 128).contains("a race: it"));
    assert!(complaint("overwrite_what_others_read", 64).contains("a race: it"));

    let device = device();
    let numbers: Vec<u32> = (0..128).collect();
    for (name, turned) in [("rotate_properly", 128), ("rotate_warp_properly", 32)] {
        let mut values = device.upload(&numbers, "values").expect("memory");
        launch(&device, name, Launch::blocks(1, 128), (&mut values,)).expect("no race");
        let expected: Vec<u32> = numbers.iter().map(|i| i / turned * turned + (i + 1) % turned).collect();
        assert_eq!(values.read(&device.stream().expect("a stream")).expect("the values"), expected, "{name}");
    }
}

#[test]
fn blocks_race_with_each_other() {
    let device = device();
    let mut values = device.zeros::<u32>(32, "values").expect("memory");
    let error = launch(&device, "blocks_write_the_same", Launch::blocks(4, 32), (&mut values,)).expect_err("a race");
    assert!(error.to_string().contains("of a buffer of 128 bytes, which thread"), "{error}");
    let error = launch(&device, "count_plainly", Launch::blocks(4, 1), (&mut values,)).expect_err("a race");
    assert!(error.to_string().contains("a race"), "{error}");
    // One launch after the other is in order.
    for _ in 0..5000 {
        launch(&device, "count_plainly", Launch::blocks(1, 1), (&mut values,)).expect("no race");
    }
    let mut counter = device.zeros::<u32>(1, "a counter").expect("memory");
    launch(&device, "count_atomically", Launch::blocks(50, 64), (&mut counter,)).expect("no race");
    assert_eq!(counter.read(&device.stream().expect("a stream")).expect("the counter"), [3200]);
}

#[test]
fn memory_that_nobody_wrote_holds_nan() {
    let device = device();
    let stream = device.stream().expect("a stream");
    let mut values = device.buffer::<f32>(32, "values").expect("memory");
    assert!(values.read(&stream).expect("values").iter().all(|value| value.is_nan()));
    launch(&device, "read_shared_before_writing", Launch::blocks(1, 32), (&mut values,)).expect("a launch");
    assert!(values.read(&stream).expect("values").iter().all(|value| value.is_nan()));
}

#[test]
fn a_kernel_that_stops_itself_is_a_fault() {
    let device = device();
    let mut values = device.upload(&[7u32], "values").expect("memory");
    let error = launch(&device, "stop", Launch::blocks(1, 1), (&mut values,)).expect_err("it stops");
    assert!(matches!(&error, DeviceError::Fault { kernel, .. } if kernel == "stop"), "{error}");
    assert!(error.to_string().contains("__trap"), "{error}");
}

#[test]
fn warp_operations_do_what_cuda_says() {
    let device = device();
    let input: Vec<u32> = (0..32).map(|i| i * 7 % 10).collect();
    let (values, mut out) = (device.upload(&input, "in").expect("memory"), device.zeros(352, "out").expect("memory"));
    launch(&device, "warp_operations", Launch::blocks(1, 32), (&values, &mut out)).expect("a launch");
    let out: Vec<u32> = out.read(&device.stream().expect("a stream")).expect("the results");
    let mask = |chosen: &dyn Fn(usize) -> bool| (0..32).filter(|&i| chosen(i)).fold(0u32, |mask, i| mask | 1 << i);
    let sum_before = |lane: usize| input[..lane].iter().sum::<u32>();
    for lane in 0..32 {
        let up = if lane >= 3 { input[lane - 3] } else { input[lane] };
        let down = if lane % 8 + 5 < 8 { input[lane + 5] } else { input[lane] };
        let expected = [
            mask(&|i| input[i] == input[lane]),
            mask(&|i| input[i] > 3),
            3,
            up,
            down,
            input[lane / 16 * 16 + (lane + 9) % 16],
            input.iter().filter(|&&value| value > 3).count() as u32,
            3,
            if lane < 12 { 0b1010_1010_1010 } else { 0 },
            sum_before(lane),
            900,
        ];
        let got: Vec<u32> = (0..expected.len()).map(|k| out[32 * k + lane]).collect();
        assert_eq!(got, expected, "lane {lane}");
    }
}

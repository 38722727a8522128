//! What the machine can do at best: a synced write, and a round trip on the loopback interface.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use cluster::Result;
use hdrhistogram::Histogram;

/// Most rounds of each, whatever the time.
const ROUNDS_MAX: usize = 20_000;

/// Times in microseconds.
pub struct Floor {
    /// Appending 4 KiB and `fdatasync`.
    pub fdatasync: Histogram<u64>,
    /// One byte there and back over TCP.
    pub round_trip: Histogram<u64>,
}

/// Measures both, each for at most this time.
pub fn measure(time: Duration) -> Result<Floor> {
    Ok(Floor { fdatasync: fdatasync(time)?, round_trip: round_trip(time)? })
}

fn fdatasync(time: Duration) -> Result<Histogram<u64>> {
    let mut file: File = tempfile::tempfile()?;
    let mut times = Histogram::new(3)?;
    let began = Instant::now();
    while began.elapsed() < time && times.len() < ROUNDS_MAX as u64 {
        let one = Instant::now();
        file.write_all(&[0x5A; 4_096])?;
        rustix::fs::fdatasync(&file)?;
        times.record(micros(one.elapsed()))?;
    }
    Ok(times)
}

fn round_trip(time: Duration) -> Result<Histogram<u64>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut byte = [0];
        while stream.read(&mut byte)? == 1 {
            stream.write_all(&byte)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut times = Histogram::new(3)?;
    let (began, mut byte) = (Instant::now(), [1]);
    while began.elapsed() < time && times.len() < ROUNDS_MAX as u64 {
        let one = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        times.record(micros(one.elapsed()))?;
    }
    drop(stream);
    echo.join().map_err(|_| "the echo thread panicked")??;
    Ok(times)
}

/// A time as the histograms take it: at least one microsecond.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

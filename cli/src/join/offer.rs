//! The machine that shows a code: waits for whoever has it, with few tries and not for long.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use seal::join::{Code, Side, meet};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use types::limits::{JOIN_CODE_MS_MAX, JOIN_PROOF_MS_MAX, JOIN_TRIES_MAX};

use super::bundle::Greeting;
use super::{MAGIC, Sealed, Wire};
use crate::error::{Error, Result};
use crate::output::say;

/// A port at which one code is taken.
pub struct Offer {
    listener: TcpListener,
    code: Code,
    until: Instant,
    tries: u32,
}

impl Offer {
    /// Listens, with a new code.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let doing = format!("listen on {address} for the machine that joins");
        let fail = |why: String| Error::Content { doing: doing.clone(), why };
        let listener = TcpListener::bind(address).await.map_err(|error| fail(error.to_string()))?;
        let code = Code::draw().map_err(|error| fail(error.to_string()))?;
        let until = Instant::now() + Duration::from_millis(JOIN_CODE_MS_MAX);
        Ok(Self { listener, code, until, tries: 0 })
    }

    /// What to type on the other machine.
    pub fn code(&self) -> String {
        self.code.to_string()
    }

    /// Where it listens.
    pub fn port(&self) -> Option<u16> {
        self.listener.local_addr().ok().map(|address| address.port())
    }

    /// Waits for whoever has the code; `wait` is called each second with the seconds waited.
    ///
    /// Errors: nobody came in time, or too many wrong codes were tried; then the code is void.
    pub async fn take(&mut self, mut wait: impl FnMut(u64)) -> Result<(Sealed, Greeting)> {
        let began = Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            let tcp = tokio::select! {
                _ = ticks.tick() => {
                    if Instant::now() >= self.until {
                        return Err(void("nobody entered it within a quarter of an hour"));
                    }
                    wait(began.elapsed().as_secs());
                    continue;
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((tcp, _)) => tcp,
                    Err(_) => continue,
                },
            };
            // One after the other: whoever only connects holds the others up for a few seconds at most.
            let proof = timeout(Duration::from_millis(JOIN_PROOF_MS_MAX), self.meet(tcp)).await;
            match proof {
                Ok(Ok(met)) => return Ok(met),
                Ok(Err(Refused::Wrong)) => {
                    self.tries += 1;
                    if self.tries >= JOIN_TRIES_MAX {
                        return Err(void("it was entered wrongly too often"));
                    }
                    say(&format!("A wrong code was entered: {} tries are left.", JOIN_TRIES_MAX - self.tries));
                }
                Ok(Err(Refused::Stranger)) | Err(_) => {}
            }
        }
    }

    async fn meet(&self, tcp: TcpStream) -> std::result::Result<(Sealed, Greeting), Refused> {
        let mut wire = Wire::new(tcp);
        let first = wire.receive().await.map_err(|_| Refused::Stranger)?;
        let theirs = first.strip_prefix(MAGIC).ok_or(Refused::Stranger)?;
        let (meeting, ours) = meet(&self.code, Side::Offering).map_err(|_| Refused::Stranger)?;
        wire.send(&ours).await.map_err(|_| Refused::Stranger)?;
        let channel = meeting.finish(theirs).map_err(|_| Refused::Stranger)?;
        let mut sealed = Sealed { wire, channel };
        // From here on the other side knows whether the code it tried is right: it counts as a try, whatever it says next.
        let greeting = sealed.hear().await.map_err(|_| Refused::Wrong)?;
        Ok((sealed, greeting))
    }
}

enum Refused {
    /// Not one of ours.
    Stranger,
    /// Another code.
    Wrong,
}

fn void(why: &str) -> Error {
    Error::Content { doing: "wait for the other machine".into(), why: format!("the code is void: {why}. Begin again") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::bundle::Purpose;
    use crate::join::take::meet_other;

    async fn open() -> (Offer, String) {
        let offer = Offer::open(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let at = format!("127.0.0.1:{}", offer.port().expect("it listens"));
        (offer, at)
    }

    fn greeting() -> Greeting {
        Greeting { purpose: Purpose::Found, slot: None }
    }

    #[tokio::test]
    async fn a_code_lets_one_machine_in() {
        let (mut offer, at) = open().await;
        let code = Code::parse(&offer.code()).expect("a code");
        let joining = async {
            let given = meet_other(&at, &code, &greeting()).await;
            given.map(drop).expect_err("it is given nothing here")
        };
        let letting_in = async {
            let (_, greeting) = offer.take(|_| {}).await.expect("let in");
            drop(offer);
            greeting
        };
        let (greeted, _) = tokio::join!(letting_in, joining);
        assert!(matches!(greeted.purpose, Purpose::Found));
        let second = meet_other(&at, &code, &greeting()).await;
        assert!(second.is_err(), "a code was used twice");
    }

    #[tokio::test]
    async fn a_code_is_void_after_a_few_wrong_ones() {
        let (mut offer, at) = open().await;
        let guessing = async {
            for _ in 0..JOIN_TRIES_MAX {
                let refused = meet_other(&at, &Code::draw().expect("drawn"), &greeting()).await;
                let told = refused.map(drop).expect_err("another code").to_string();
                assert!(told.contains("the code is not the one"), "{told}");
            }
        };
        let (taken, ()) = tokio::join!(offer.take(|_| {}), guessing);
        let told = taken.map(drop).expect_err("nobody had the code").to_string();
        assert!(told.contains("entered wrongly too often"), "{told}");
    }

    #[tokio::test]
    async fn a_code_expires() {
        let (mut offer, _) = open().await;
        offer.until = Instant::now();
        let told = offer.take(|_| {}).await.map(drop).expect_err("it has expired").to_string();
        assert!(told.contains("within a quarter of an hour"), "{told}");
    }
}

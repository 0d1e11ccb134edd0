//! The probe client: porter's protocol as the load generator speaks it, in a chat too, where what it says to itself comes
//! back to it alone and what others write passes by.

use crate::host::{Host, PASSWORD};
use porter::load::{
    Dialect, Exchange, Farewell, LoadError, LoginStep, Other, Percentiles, Porter, PorterLogin, User, text,
};
use porter::protocol::{Reply, Request};

/// Messages each second.
pub(crate) const RATE_PER_SECOND: f64 = 500.0;

/// What the probe speaks.
#[derive(Clone, Copy)]
pub(crate) struct Probe {
    porter: Porter,
    /// What each text begins with; nothing where the server sends all texts back.
    address_words: &'static str,
}

/// p50, p99 and the longest echo, in milliseconds.
pub(crate) fn shown(echoes: &Percentiles) -> String {
    let [median, late, longest] = [echoes.p50, echoes.p99, echoes.max].map(|us| us / 1e3);
    format!("{median:.2} / {late:.2} / {longest:.2}")
}

impl Probe {
    /// One that logs in as `ann`.
    pub(crate) fn of(host: &Host) -> Probe {
        let mut porter = Porter::new(1, false);
        (porter.name, porter.password) = (|_, _| "ann".to_owned(), PASSWORD);
        Probe { porter, address_words: host.address_words }
    }
}

impl Dialect for Probe {
    type Login = PorterLogin;

    fn name(&self, number: u64) -> String {
        self.porter.name(number)
    }

    fn message_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, LoadError> {
        self.porter.message_bytes(bytes)
    }

    fn connected(&self, login: &mut PorterLogin, user: &User<'_>, out: &mut Vec<u8>) -> LoginStep {
        self.porter.connected(login, user, out)
    }

    fn handle_answer(
        &self,
        login: &mut PorterLogin,
        user: &User<'_>,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<LoginStep, LoadError> {
        self.porter.handle_answer(login, user, message, out)
    }

    fn awaited(&self, login: &PorterLogin) -> &'static str {
        self.porter.awaited(login)
    }

    fn exchange(&self, login: &PorterLogin, user: &User<'_>, size_bytes: usize) -> Exchange {
        let Some(token) = login.token().filter(|_| !self.address_words.is_empty()) else {
            return self.porter.exchange(login, user, size_bytes);
        };
        let text = format!("{}{}", self.address_words, text(user.number, size_bytes));
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        Request::Message { token: token.expose(), text: text.as_bytes() }.encode(&mut request);
        Reply::Message { sender: user.name, text: &text }.encode(&mut answer);
        Exchange::new(request, answer, size_bytes, 0)
    }

    fn handle_other(&self, login: &mut PorterLogin, message: &[u8]) -> Result<Other, LoadError> {
        match self.porter.handle_other(login, message) {
            Ok(Other::Answer) if !self.address_words.is_empty() => Ok(Other::Aside),
            other => other,
        }
    }

    fn farewell(&self) -> Option<Farewell> {
        self.porter.farewell()
    }

    fn greets(&self) -> bool {
        true
    }
}

use std::{io, path::PathBuf};

use fumehood_model::{ByteSize, Code, Digest};

/// Why a component could not be fetched or published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The text names no source.
    #[error("`{}` is no source: {why}", .text.escape_debug())]
    NotASource {
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file cannot be read or written.
    #[error("{} cannot be {doing}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// `read` or `written`.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of certificates holds none that can be used.
    #[error("{} holds no certificate that can be trusted: sources.extra_roots takes PEM files", path.display())]
    NoRoots {
        /// Which.
        path: PathBuf,
    },
    /// It is larger than what is allowed.
    #[error("{what} has more than the {allowed} that are allowed")]
    TooLarge {
        /// What.
        what: String,
        /// The bound.
        allowed: ByteSize,
    },
    /// Nobody answers.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// Whom we asked.
        host: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It takes too long.
    #[error("{host} did not answer in time")]
    TooSlow {
        /// Whom we asked.
        host: String,
    },
    /// It does not prove who it is.
    #[error(
        "{host} does not prove that it is {host}: name the certificate of its authority in sources.extra_roots if it is one of your own"
    )]
    NotTrusted {
        /// Whom we asked.
        host: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It would be asked without TLS.
    #[error(
        "{host} is not asked without TLS: name it in sources.plain_http if everybody between may read and change what it sends"
    )]
    Plain {
        /// Whom we would ask.
        host: String,
    },
    /// It sends us somewhere where we do not go.
    #[error("{host} sends us on to `{}`, where we do not go: {why}", to.escape_debug())]
    Redirected {
        /// Whom we asked.
        host: String,
        /// Where it sends us, shortened.
        to: String,
        /// Why we do not.
        why: &'static str,
    },
    /// There is nothing, or nothing for us.
    #[error("{what} was not found, is private, or you are not logged in: tried {tried}")]
    NotForUs {
        /// What we asked for.
        what: String,
        /// With which credentials.
        tried: String,
        /// The status of the answer.
        status: u16,
    },
    /// It answers with an error.
    #[error("{host} answered with status {status} when asked for {what}{}", colon(.said))]
    Refused {
        /// Whom we asked.
        host: String,
        /// What we asked for.
        what: String,
        /// The status.
        status: u16,
        /// What it says to it, shortened.
        said: String,
    },
    /// The bytes are not those that were asked for.
    #[error("{what} arrived as {actual}, and not as {expected}: it was changed, and is not used")]
    DigestMismatch {
        /// What we asked for.
        what: String,
        /// What it must be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// It is no component.
    #[error("{what} cannot be used: {why}")]
    NotUsable {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// The credentials of Docker cannot be read.
    #[error("the credentials in {place} cannot be used: {why}")]
    Credentials {
        /// The file, or the program.
        place: String,
        /// Why.
        why: String,
    },
}

impl SourceError {
    /// The stable code that stands for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotASource { .. } | Self::NoRoots { .. } | Self::Credentials { .. } | Self::Plain { .. } => {
                Code::InvalidInput
            }
            Self::File { .. } => Code::NotFound,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Unreachable { .. } | Self::TooSlow { .. } | Self::NotTrusted { .. } | Self::Redirected { .. } => {
                Code::Unavailable
            }
            Self::NotForUs { status: 404, .. } => Code::NotFound,
            Self::NotForUs { .. } => Code::Forbidden,
            Self::Refused { .. } => Code::Unavailable,
            Self::DigestMismatch { .. } | Self::NotUsable { .. } => Code::InvalidComponent,
        }
    }

    /// The error with its causes, in one sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let mut told = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let next = error.to_string();
            // Several libraries repeat their cause.
            if !told.ends_with(&next) {
                told = format!("{told}: {next}");
            }
            cause = error.source();
        }
        told
    }
}

fn colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

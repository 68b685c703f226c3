//! A client whose answers come in time: lists and watches by kube's own machinery know no deadline, and one that
//! never answers would leave us blind for as long as the connection stands.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use kube::Client;
use kube::client::Body;
use tokio::time::{Instant, Sleep};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Time for an answer to begin, and for a list to go on.
const ANSWER: Duration = Duration::from_secs(30);

/// `client` under deadlines; an answer to a watch may be silent for `quiet`.
#[must_use]
pub fn patient(client: Client, quiet: Duration) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let is_watch = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"));
            let answer = tokio::time::timeout(ANSWER, client.send(request)).await;
            let answer = answer.map_err(|_| BoxError::from(format!("no answer within {}s", ANSWER.as_secs())))??;
            let (head, body) = answer.into_parts();
            let gap = if is_watch { quiet } else { ANSWER };
            Ok::<_, BoxError>(Response::from_parts(head, Timed { body, gap, timer: Box::pin(tokio::time::sleep(gap)) }))
        }
    });
    Client::new(service, namespace)
}

/// A body that fails when nothing of it has come for too long.
struct Timed {
    body: Body,
    gap: Duration,
    timer: Pin<Box<Sleep>>,
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let next = Instant::now() + self.gap;
            self.timer.as_mut().reset(next);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(format!("nothing came for {}s", self.gap.as_secs()).into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    /// A server that answers after `head`, with one piece and another one after `gap`.
    fn server(head: Duration, gap: Duration) -> Client {
        let service = tower::service_fn(move |_: Request<Body>| async move {
            tokio::time::sleep(head).await;
            let first = futures::stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from("{\"a\":")))]);
            let rest = futures::stream::once(async move {
                tokio::time::sleep(gap).await;
                Ok(Frame::data(Bytes::from("1}")))
            });
            Ok::<_, BoxError>(Response::new(StreamBody::new(first.chain(rest)).boxed_unsync()))
        });
        Client::new(service, "default")
    }

    async fn ask(client: Client, path: &str) -> Result<Bytes, String> {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = client.send(request).await.map_err(|e| super::super::error::chain(&e))?;
        answer.into_body().collect_bytes().await.map_err(|e| super::super::error::chain(&e))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_in_an_error() {
        let seconds = Duration::from_secs;
        let quiet = seconds(295);
        for (head, gap, path, said) in [
            (1, 29, "/api/v1/pods", "1}"),
            (31, 0, "/api/v1/pods", "no answer within 30s"),
            (1, 31, "/api/v1/pods?limit=500", "nothing came for 30s"),
            (1, 290, "/api/v1/pods?watch=true", "1}"),
            (1, 296, "/api/v1/pods?watch=true", "nothing came for 295s"),
        ] {
            let heard = match ask(patient(server(seconds(head), seconds(gap)), quiet), path).await {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(why) => why,
            };
            assert!(heard.contains(said), "{path} after {head} s and {gap} s: {heard}");
        }
    }
}

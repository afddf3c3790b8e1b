use std::time::Duration;

use jine::store::log::{PeerError, Peers, SessionId};

use super::{fresh, open_on};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_question_is_answered_by_the_session_it_is_for() {
    let (server, one) = fresh().await;
    let two = open_on(&server).await;
    let mut questions = two.serve(SessionId(2)).await.expect("serving");
    let answering = async {
        while let Some(question) = questions.recv().await {
            let answer = [b"re: ".as_slice(), &question.question].concat();
            let _ = question.answer.send(answer.into());
        }
    };
    let asking = async {
        assert_eq!(one.ask(SessionId(2), "hello".into(), LONG).await, Ok("re: hello".into()));
        assert_eq!(two.ask(SessionId(2), "myself".into(), LONG).await, Ok("re: myself".into()));
        assert_eq!(one.ask(SessionId(3), "anyone?".into(), LONG).await, Err(PeerError::NoResponders));
    };
    tokio::select! {
        () = answering => panic!("the questions ended"),
        () = asking => {}
    }
}

#[tokio::test]
async fn a_session_that_stops_serving_is_known_to_be_gone_and_a_silent_one_times_out() {
    let (server, one) = fresh().await;
    let two = open_on(&server).await;
    let questions = two.serve(SessionId(2)).await.expect("serving");
    assert_eq!(one.ask(SessionId(2), "hello".into(), Duration::from_millis(50)).await, Err(PeerError::Timeout));
    drop(questions);
    // The server learns of it a moment later.
    while one.ask(SessionId(2), "hello".into(), Duration::from_millis(50)).await == Err(PeerError::Timeout) {}
    assert_eq!(one.ask(SessionId(2), "hello".into(), LONG).await, Err(PeerError::NoResponders));
}

#[tokio::test]
async fn serving_ends_with_the_connection() {
    let (mut server, log) = fresh().await;
    let mut questions = log.serve(SessionId(2)).await.expect("serving");
    server.kill();
    assert!(questions.recv().await.is_none());
}

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

#[tokio::test]
async fn names_that_differ_by_case_or_need_quotes_have_columns_of_their_own() {
    let stand = stand(Options::default()).await;
    let measures = [
        ("Temp", "1", Type::Double),
        ("temp", "2", Type::Double),
        ("a\"b", "3", Type::Double),
        ("time_ms", "4", Type::Double),
    ];
    stand.write(vec![multi("d1", 5, &measures)]).await.unwrap();
    let rows = stand.rows("select * from readings").await;
    let wanted = json!({
        "time": 5_000_000, "time_ms": 5, "measure_name": "reading", "device_id": "d1",
        "Temp": 1.0, "temp~2": 2.0, "a\"b": 3.0, "time_ms~2": 4.0,
    });
    assert_eq!(rows, [wanted]);
}

#[tokio::test]
async fn sql_only_reads_one_statement() {
    let stand = stand(Options::default()).await;
    stand.write(vec![warm("d1", 5, "20")]).await.unwrap();
    stand.count().await;
    let cases = [
        ("delete from \":t1\"", "only one statement that reads"),
        (
            "with x as (select 1) delete from \":t1\"",
            "only reading is allowed",
        ),
        (
            "with x as (select 1) delete from \":t1\" returning time",
            "only reading is allowed",
        ),
        ("attach 'file.db' as other", "only one statement that reads"),
        ("pragma query_only = 0", "only one statement that reads"),
        ("select 1; drop view readings", "only one statement"),
        ("select * from missing", "no such table: missing"),
        ("", "only one statement that reads"),
    ];
    for (sql, words) in cases {
        let why = stand.server.sql(sql.to_owned()).await.unwrap_err();
        assert!(why.contains(words), "{sql}: {why}");
        assert_eq!(why.lines().count(), 1, "{why}");
    }
    assert_eq!(stand.count().await, 1);
}

#[tokio::test]
async fn a_query_without_end_is_stopped_and_writes_go_on() {
    let options = Options {
        sql_time_max: Duration::from_millis(50),
        sql_rows_max: 10,
        ..Options::default()
    };
    let stand = stand(options).await;
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) ";
    let count = format!("{endless} select count(*) from n");
    let query = stand.server.sql(count);
    let answer = tokio::time::timeout(Duration::from_secs(10), query).await;
    let why = answer.expect("the query runs on").unwrap_err();
    assert_eq!(why, "the query took too long and was stopped");
    let rows = format!("{endless} select i from n");
    let why = stand.server.sql(rows).await.unwrap_err();
    assert_eq!(why, "the answer has more than 10 rows: add a limit");
    stand.write(vec![warm("d1", 5, "20")]).await.unwrap();
}

#[tokio::test]
async fn sql_answers_lines_over_http() {
    let stand = stand(Options::default()).await;
    stand
        .write(vec![warm("d1", 5, "20"), warm("d2", 5, "21")])
        .await
        .unwrap();
    let sql = "select device_id, time_ms from readings order by 1";
    let mut socket = TcpStream::connect(stand.address).await.unwrap();
    let length = sql.len();
    let head = format!(
        "POST /sql HTTP/1.1\r\nhost: local\r\ncontent-type: text/plain\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{sql}"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let body = "{\"device_id\":\"d1\",\"time_ms\":5}\n{\"device_id\":\"d2\",\"time_ms\":5}\n";
    assert!(answer.ends_with(body), "{answer}");
}

#[tokio::test]
async fn tables_of_one_name_in_two_databases_keep_views_of_their_own() {
    let stand = stand(Options::default()).await;
    stand.write(vec![warm("d1", 5, "20")]).await.unwrap();
    assert_eq!(stand.count().await, 1);
    let client = &stand.client;
    client
        .create_database()
        .database_name("alpha")
        .send()
        .await
        .unwrap();
    for name in ["readings", "sqlite_like"] {
        let create = client
            .create_table()
            .database_name("alpha")
            .table_name(name);
        create.send().await.unwrap();
    }
    assert_eq!(stand.count().await, 1);
    for view in ["alpha.readings", "_sqlite_like"] {
        let rows = stand
            .rows(&format!("select count(*) as n from \"{view}\""))
            .await;
        assert_eq!(rows, [json!({ "n": 0 })]);
    }
}

module jine.test/suites/storage

go 1.26.0

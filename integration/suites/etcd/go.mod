module jine.test/suites/etcd

go 1.26.0

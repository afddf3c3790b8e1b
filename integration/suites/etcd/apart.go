package main

import "regexp"

// What cannot pass on jine, by the tests' names.
var reasons = []struct {
	names *regexp.Regexp
	why   string
}{
	{named(`.*Auth.*|TestUserError.*|TestAddUserAfterDelete|TestPutWithLeaseInTXN|TestReadWithPrevKvInTXN|TestMirrorSync_Authenticated`),
		"users and roles are not served"},
	{named(`TestMaintenanceSnapshot.*|TestSaveSnapshot.*|TestSnapshot.*`), "Snapshot is not served"},
	{named(`TestV3LargeRequests|TestKVLargeRequests`), "asks for requests of 10 MiB; the limit is 8 MiB"},
	{named(`TestV3Election(Campaign|Observe)|TestV3Lock.*`), "the services v3lock and v3election are not served"},
	{named(`TestMember.*|TestMaxLearner.*|.*Learner.*|TestIssue.*|TestCluster.*|TestAddMember.*|TestRemoveMember.*|` +
		`TestForceNewCluster|TestDoubleCluster.*|TestDecreaseCluster.*|TestConcurrentRemove.*|TestMove.*|TestMaintenanceMoveLeader|TestMaintenanceStatus|` +
		`TestDoubleTLS.*|TestTLSCluster.*|TestRejectUnhealthy.*|TestRestart.*|TestReject.*|TestSpeed.*|TestMinority.*|` +
		`TestMajority.*|TestNetworkPartition.*|TestLaunch.*|TestTransfer.*|TestFirstCommit.*|TestPauseMember|TestV3MetricsFsync`),
		"is about a cluster's members"},
	{named(`.*RequireLeader.*|.*OrderViolation|TestEndpointSwitchResolvesViolation|TestV3LeasePromote|TestV3LeaseFailover|` +
		`TestV3LeaseKeepAliveForwardingCatchError|TestV3WatchRestoreSnapshotUnsync|TestFailover.*|TestV3Restore.*|` +
		`TestV3LeaseCheckpoint|TestV3LeaseRecoverAndRevoke|TestV3LeaseRevokeAndRecover|TestV3LeaseRecoverKey.*|TestV3LeaseTimeToLiveWithLeaderChanged|` +
		`TestCtlV3.*|TestV3StorageQuota(Apply|API)|TestV3CorruptAlarm.*|TestV3AlarmDeactivate|TestCompactHash.*|TestPeriodicCheck.*|TestInPlaceRecovery|` +
		`TestCheckCompact.*|TestMetric.*|TestTracing.*|TestV3AdditionalGRPCOptions|TestEtcdVersion.*|TestEmbed.*`),
		"stops, restarts or cuts apart the cluster's own members, or reads their files"},
	{named(`TestTLSClientCipherSuites.*|TestTLSMinMaxVersion`), "asks for choices of TLS that jine has no flags for"},
	{named(`TestWatchWithProgressNotify.*|TestV3WatchCancellation.*|TestWatchCancelOnServer|TestV3WatchProgressOnMemberRestart`),
		"sets or reads variables inside the server's process"},
}

func named(names string) *regexp.Regexp { return regexp.MustCompile("^(" + names + ")$") }

// apart says why a test cannot pass on jine, or nothing.
func apart(name string) string {
	for _, reason := range reasons {
		if reason.names.MatchString(name) {
			return reason.why
		}
	}
	return ""
}

package main

import (
	"regexp"
	"strings"
)

// A reason why tests cannot pass on jine.
type reason struct {
	in    string // the beginning of the suites' names
	names *regexp.Regexp
	why   string
}

// The first that fits is told.
var reasons = []reason{
	{"common", named(`TestAuthority`), "reads what is inside of the server's process, or its log"},
	{"", named(`.*Auth.*|TestUserError.*|TestAddUserAfterDelete|TestPutWithLeaseInTXN|TestReadWithPrevKvInTXN|TestMirrorSync_Authenticated`),
		"users and roles are not served"},
	{"common", named(`TestUser.*|TestRole.*|TestRootRole`), "users and roles are not served"},
	{"e2e", named(`TestCtlV3Role.*|TestWatchWithLowPermissionUser`), "users and roles are not served"},
	{"", named(`TestMaintenanceSnapshot.*|TestSaveSnapshot.*|TestSnapshot.*|TestCtlV3Snapshot.*|TestRestoreCompactionRevBump|` +
		`TestBreakConsistentIndexNewerThanSnapshot|TestRecoverSnapshotBackend|TestSnapDB.*`), "Snapshot is not served"},
	{"", named(`TestV3LargeRequests|TestKVLargeRequests`), "asks for requests of 10 MiB; the limit is 8 MiB"},
	{"", named(`TestV3Election(Campaign|Observe)|TestV3Lock.*`), "the services v3lock and v3election are not served"},
	{"", named(`TestCurl.*`), "the JSON gateway is not served"},
	{"integration", named(`TestMember.*|TestMaxLearner.*|.*Learner.*|TestIssue.*|TestCluster.*|TestAddMember.*|TestRemoveMember.*|` +
		`TestForceNewCluster|TestDoubleCluster.*|TestDecreaseCluster.*|TestConcurrentRemove.*|TestMove.*|TestMaintenanceMoveLeader|TestMaintenanceStatus|` +
		`TestDoubleTLS.*|TestTLSCluster.*|TestRejectUnhealthy.*|TestRestart.*|TestReject.*|TestSpeed.*|TestMinority.*|` +
		`TestMajority.*|TestNetworkPartition.*|TestLaunch.*|TestTransfer.*|ExampleCluster_.*|TestFirstCommit.*|TestPauseMember|TestV3MetricsFsync`),
		"is about a cluster's members"},
	{"integration", named(`.*RequireLeader.*|.*OrderViolation|TestEndpointSwitchResolvesViolation|TestV3LeasePromote|TestV3LeaseFailover|` +
		`TestV3LeaseKeepAliveForwardingCatchError|TestV3WatchRestoreSnapshotUnsync|TestFailover.*|TestV3Restore.*|` +
		`TestBalancerUnder(NetworkPartition|Server).*|TestDropReadUnderNetworkPartition|` +
		`TestV3LeaseCheckpoint|TestV3LeaseRecoverAndRevoke|TestV3LeaseRevokeAndRecover|TestV3LeaseRecoverKey.*|TestV3LeaseTimeToLiveWithLeaderChanged|` +
		`TestCtlV3.*|TestV3StorageQuota(Apply|API)|TestV3CorruptAlarm.*|TestV3AlarmDeactivate|TestCompactHash.*|TestPeriodicCheck.*|TestInPlaceRecovery|` +
		`TestCheckCompact.*|TestMetric.*|TestTracing.*|TestV3AdditionalGRPCOptions|TestEtcdVersion.*|TestEmbed.*`),
		"stops, restarts or cuts apart the cluster's own members, or reads their files"},
	{"integration", named(`TestTLSClientCipherSuites.*|TestTLSMinMaxVersion`), "asks for choices of TLS that jine has no flags for"},
	{"integration", named(`TestWatchWithProgressNotify.*|TestV3WatchCancellation.*|TestWatchCancelOnServer|TestV3WatchProgressOnMemberRestart`),
		"sets or reads variables inside the server's process"},
	{"common", named(`TestMember(Add|Remove)|TestWaitLeader.*`), "is about a cluster's members"},
	{"common", named(`TestKVGetNoQuorum`), "stops most of the cluster's members; one jine is enough to go on"},
	{"e2e", named(`TestMember.*|TestCtlV3Member(Add|Update|Promote|ListSerializable).*|TestCtlV3ConsistentMemberList|TestCtlV3MoveLeaderScenarios|` +
		`TestClusterOf.*|TestTLSClusterOf.*|TestForceNewCluster.*|TestRuntimeReconfig.*|TestEtcdPeer.*|TestEtcdMultiPeer|.*Learner.*|TestLeaseRevoke_.*|TestGracefulShutdown|TestReproduce20340|TestInPlaceRecovery`),
		"is about a cluster's members"},
	{"e2e", named(`TestDowngrade.*|TestMixVersions.*|TestReleaseUpgrade.*|TestClusterUpgrade.*|TestV2Deprecation.*`),
		"runs several versions of etcd, or their flags"},
	{"e2e", named(`TestCtlV3DefragOffline|TestIssue6361|.*Corrupt.*|TestEtctlutlMigrate`), "works on etcd's files"},
	{"e2e", named(`TestCtlV3GetRevokedCRL.*|TestEtcdTLSVersion|TestConnectionMultiplexing|TestEtcdAdvertiseClientUnix|` +
		`TestEtcdListenMetricsURLs.*|TestEtcdExampleConfig|TestBootstrapDefragFlag|TestSnapshotCatchup.*|TestEtcdHealthyWithTiny.*|TestEtcdDeprecatedFlags`),
		"is about flags of etcd that jine does not have"},
	{"e2e", named(`TestCtlV3CompletionBash|TestUtlV3CompletionBash|TestGrpcproxy.*|TestGrpcProxy.*|TestGateway|TestEtcdUnixPeers`),
		"is about other programs, or only starts the server"},
	{"e2e", named(`TestNoErrorLogsDuringNormalOperations|TestServerJsonLogging|TestConnectionRejectMessage|TestWarningApplyDuration`),
		"reads etcd's log"},
	{"e2e", named(`TestWatchDelay.*`), "is about time, and fails on etcd as well where others are at work"},
	{"e2e", named(`TestNoMetricsMissing`), "asks for all of etcd's figures; many are about parts that jine does not have"},
	{"e2e", named(`TestCtlV3GetFormat`), "expects the cluster ID that etcd makes of its members' names"},
}

// A part of a test that is left out, where the rest of it can pass.
type part struct {
	in    string
	names *regexp.Regexp
	below string // the names of the subtests, as -test.skip takes them
	why   string
}

var parts = []part{
	{"common", named(`TestMemberList`), "Peer", "is about a cluster's members"},
	{"common integration", named(`TestStatus`), "Peer", "is about a cluster's members"},
	{"common e2e", named(`TestLeaseGrant(TimeToLiveExpired|KeepAliveOnce)`), "Peer", "waits for the members to agree on a leader"},
	{"e2e", named(`TestHTTP(Health|LivezReadyz)Handler`), "(network_partition|corrupt)", "cuts the members apart, or spoils their files"},
}

func named(names string) *regexp.Regexp { return regexp.MustCompile("^(" + names + ")$") }

// apart says why a suite's test cannot pass on jine, or nothing.
func apart(suite suite, name string) string {
	for _, reason := range reasons {
		if strings.HasPrefix(suite.String(), reason.in) && reason.names.MatchString(name) {
			return reason.why
		}
	}
	return ""
}

// partly says what of a test to leave out, or nothing, and why.
func partly(suite suite, name string) (below, why string) {
	for _, part := range parts {
		if strings.HasPrefix(suite.String(), part.in) && part.names.MatchString(name) {
			return part.below, part.why
		}
	}
	return "", ""
}

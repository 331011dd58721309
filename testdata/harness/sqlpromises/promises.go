//go:build !windows

// Package sqlpromises holds what the providers that make users on an SQL server promise alike, on real servers: each promise stands once, and a
// provider's own tests say what is different about its server. What one of them promises alone is tested beside it, in the same shop.
package sqlpromises

import "testing"

// Test holds every promise in a shop of its own. The servers end users by themselves.
func Test(t *testing.T, open func(t *testing.T) *Shop) {
	for _, promise := range promises {
		t.Run(promise.name, func(t *testing.T) { promise.holds(open(t)) })
	}
}

var promises = []struct {
	name  string
	holds func(*Shop)
}{
	{"IntentComesBeforeTheUserAndSufficesToRevoke", intentComesBeforeTheUserAndSufficesToRevoke},
	{"AForbiddenIntentMakesNoUser", aForbiddenIntentMakesNoUser},
	{"OneSessionServesManyRequestsAtOnce", oneSessionServesManyRequestsAtOnce},
	{"RenewExtendsAndShortensByTheServersClock", renewExtendsAndShortensByTheServersClock},
	{"RenewNeverPassesTheTTL", renewNeverPassesTheTTL},
	{"RenewOfAVanishedUserIsRefused", renewOfAVanishedUserIsRefused},

	{"FindAndLookupKnowWhoseAUserIs", findAndLookupKnowWhoseAUserIs},
	{"RevokingWhatIsGoneOrNeverWasIsProven", revokingWhatIsGoneOrNeverWasIsProven},
	{"RevokeTouchesNoUserButItsOwn", revokeTouchesNoUserButItsOwn},
	{"RevokeDoesNotTakeAnotherServersSilenceForProof", revokeDoesNotTakeAnotherServersSilenceForProof},
	{"TwoRevokersAtOnceBothProve", twoRevokersAtOnceBothProve},

	{"IntentAloneUndoesAnIssueThatDiedAnywhere", intentAloneUndoesAnIssueThatDiedAnywhere},
	{"IntentAloneUndoesAnIssueStillWaitingInTheServer", intentAloneUndoesAnIssueStillWaitingInTheServer},
	{"RevokeSurvivesAConnectionThatDiesAnywhere", revokeSurvivesAConnectionThatDiesAnywhere},

	{"DeadlinesHoldAgainstAServerThatNeverAnswers", deadlinesHoldAgainstAServerThatNeverAnswers},
	{"CallsWaitForTheirTurnNoLongerThanTheirDeadline", callsWaitForTheirTurnNoLongerThanTheirDeadline},
	{"RevokeAfterTheServerCameBack", revokeAfterTheServerCameBack},
	{"ServerRestartedBetweenCallsIsNotNoticed", serverRestartedBetweenCallsIsNotNoticed},
	{"IdleConnectionIsGivenBackAndOpenedAgain", idleConnectionIsGivenBackAndOpenedAgain},
	{"ClosedSessionSaysSo", closedSessionSaysSo},
}

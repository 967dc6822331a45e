package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name under which Redis keeps a script, no secret hangs on it
	"embed"
	"encoding/hex"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var sources embed.FS

// A script is one file of the folder scripts; some begin with index.lua.
type script struct{ source, sha string }

// The scripts. A file that is missing shows at the first start of any test.
var (
	scriptInit          = load("init")
	scriptRingPut       = load("ring_put")
	scriptClientCreate  = load("client_create")
	scriptClientReplace = load("client_replace")
	scriptClientDelete  = load("client_delete")
	scriptUserCreate    = load("user_create")
	scriptUserReplace   = load("user_replace")
	scriptUserDelete    = load("user_delete")
	scriptUserByName    = load("user_by_name")
	scriptList          = load("list")
	scriptGrantCreate   = load("index", "grant_create")
	scriptGrantRead     = load("grant_read")
	scriptGrantRotate   = load("grant_rotate")
	scriptGrantRevoke   = load("grant_revoke")
	scriptBudgetSpend   = load("budget_spend")
	scriptBudgetRefund  = load("budget_refund")
	scriptMarkSet       = load("mark_set")
	scriptMarkRead      = load("mark_read")
	scriptEntryCreate   = load("index", "entry_create")
	scriptEntryRead     = load("index", "entry_read")
	scriptEntryReplace  = load("index", "entry_replace")
	scriptEntryTake     = load("index", "entry_take")
	scriptIndexAdd      = load("index", "index_add")
	scriptIndexRead     = load("index_read")
)

// load makes one script of one file, or of what it begins with and the file.
func load(names ...string) script {
	var source []byte
	for _, name := range names {
		text, err := sources.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			panic(err) // this program was built without it
		}
		source = append(source, text...)
	}
	sum := sha1.Sum(source) //nolint:gosec // as above
	return script{string(source), hex.EncodeToString(sum[:])}
}

// once is a command that the driver must not send again, whatever happened to the reply.
type once struct{ *goredis.Cmd }

// NoRetry overrides the driver's default.
func (once) NoRetry() bool { return true }

// doer is a client or a connection of the driver.
type doer interface {
	Process(ctx context.Context, cmd goredis.Cmder) error
	Pipeline() goredis.Pipeliner
}

// bySHA is the call of a script that Redis knows already.
func (sc script) bySHA(ctx context.Context, keys []string, args []any) once {
	return command(ctx, "EVALSHA", sc.sha, keys, args)
}

// bySource is the call that teaches Redis the script. It is safe after NOSCRIPT, which says that nothing was run.
func (sc script) bySource(ctx context.Context, keys []string, args []any) once {
	return command(ctx, "EVAL", sc.source, keys, args)
}

func command(ctx context.Context, name, script string, keys []string, args []any) once {
	list := make([]any, 0, 3+len(keys)+len(args))
	list = append(list, name, script, len(keys))
	for _, key := range keys {
		list = append(list, key)
	}
	cmd := goredis.NewCmd(ctx, append(list, args...)...)
	cmd.SetFirstKeyPos(3) // what the cluster client routes by
	return once{cmd}
}

// run calls a script: by its name, and by its text only where Redis does not know it (S14). TRYAGAIN says that a slot of
// a cluster is on its way to another node and that nothing was run.
func (sc script) run(ctx context.Context, d doer, keys []string, args ...any) (any, error) {
	for {
		cmd := sc.bySHA(ctx, keys, args)
		err := d.Process(ctx, cmd)
		if isNoScript(err) {
			cmd = sc.bySource(ctx, keys, args)
			err = d.Process(ctx, cmd)
		}
		if err == nil || !goredis.IsTryAgainError(err) {
			return cmd.Val(), err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(tryAgainAfter):
		}
	}
}

// tryAgainAfter is how long the move of a key takes, more or less.
const tryAgainAfter = 5 * time.Millisecond

func isNoScript(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT ") }

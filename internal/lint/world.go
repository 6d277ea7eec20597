package lint

// Scope is where a setting acts. The zero value is the host.
type Scope string

const (
	OfContainer Scope = "container" // a network namespace that a container's runtime makes
	OfPod       Scope = "pod"
	OfImage     Scope = "image" // while an image is built
	OfNetns     Scope = "netns" // another network namespace of the host
)

// world is where a setting acts, if not on the host itself.
type world struct {
	scope Scope
	// given says that the runtime is told to set it, and does so before it starts
	// anything; else a command in the container does.
	given bool
	// hostNet says that the container has the host's network namespace.
	hostNet bool
	// annotated says that it stands in an annotation that Kubernetes read before 1.11.
	annotated bool
	// privileged says that commands in it may write what is not of a namespace.
	privileged bool
}

// within runs a step in another world.
func (p *parser) within(w world, step func()) {
	was := p.world
	p.world = w
	step()
	p.world = was
}

// command is the world of a command that runs in this one: with the host's network, a container
// that may write to /proc/sys writes the host's.
func (w world) running() world {
	if w.given = false; w.hostNet && w.privileged {
		return world{}
	}
	return w
}

package live

// Setting is a value that apply has written and that nobody has rolled back.
type Setting struct {
	Name  string // holds no pid
	Holds bool   // the value is there still
}

// mostApplied settings are shown.
const mostApplied = 256

// Applied takes in what has become of the settings that apply has written; why says that nobody
// knows.
func (s *State) Applied(all []Setting, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied, s.notApplied = nil, why
	at := map[string]int{}
	for _, x := range all {
		i, twice := at[x.Name]
		if !twice {
			i, at[x.Name] = len(s.applied), len(s.applied)
			s.applied = append(s.applied, x)
		}
		s.applied[i].Holds = s.applied[i].Holds && x.Holds
	}
}

// settings puts the settings into a view. s.mu is held.
func (v *View) settings(s *State) {
	v.Settings = append(v.Settings, s.applied[:min(len(s.applied), mostApplied)]...)
	v.Left[Applied] = len(s.applied) - len(v.Settings)
	if s.notApplied != "" {
		v.Unreadable[unreadable(s.notApplied)]++
	}
}

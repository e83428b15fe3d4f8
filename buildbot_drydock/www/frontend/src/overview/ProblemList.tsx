// What is wrong, as a list.
import React from "react";
import { Link } from "react-router-dom";
import { Age } from "../components/Age";
import type { Problem } from "./problems";

export function ProblemList({ problems }: { problems: readonly Problem[] }) {
  return (
    <section className="drydock-section" aria-labelledby="drydock-problems">
      <h2 id="drydock-problems">Problems</h2>
      {problems.length === 0 && <p>None.</p>}
      <ul className="drydock-problems">
        {problems.map((each) => (
          <li key={each.key} className={`drydock-finding drydock-finding-${each.severity}`}>
            <Link to={each.route}>{each.what}</Link> {each.text}
            {each.since !== null && (
              <small className="drydock-muted">
                {" "}
                (for <Age since={each.since} />)
              </small>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

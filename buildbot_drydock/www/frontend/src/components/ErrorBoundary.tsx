// Keeps a mistake of one page from taking all of Buildbot's interface down.
import React, { Component, type ReactNode } from "react";

interface State {
  error: Error | null;
}

export class ErrorBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { error: null };

  static getDerivedStateFromError(error: Error): State {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <div className="container drydock">
        <div className="drydock-notice drydock-notice-bad" role="alert">
          <p>
            This page has failed: <code>{error.message}</code>
          </p>
          <button className="btn btn-secondary" onClick={() => this.setState({ error: null })}>
            Try again
          </button>
        </div>
      </div>
    );
  }
}
